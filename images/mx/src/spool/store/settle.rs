//! What an attempt says of its targets, and of its shard.

use wire::ids::ShardName;

use crate::spool::outcome::{Ended, Outcome};
use crate::spool::queue::{EntryId, Event, NoAnswer, Round};
use crate::spool::report;
use crate::spool::store::{Inside, Spool};

/// Messages given up in one go: what the log's queue takes easily.
const BATCH: usize = 1000;

impl Spool {
    /// Records how an attempt went for each of its targets, all in this shard's queue. Not waited
    /// for: were it lost, the target would only be asked again, and know the delivery id.
    pub(in crate::spool) fn settle(
        &self,
        id: EntryId,
        (shard, round): (&ShardName, Round),
        outcomes: Vec<(u32, Outcome)>,
    ) {
        let now_ms = self.inner.clock.now();
        let chance = (self.inner.clock.chance)();
        let mut state = self.lock();
        let failure = self.hear(&mut state, (shard, round), &outcomes, (now_ms, chance));
        let ended = Ended {
            now_ms,
            chance,
            probe_ms: state.away.until(shard),
        };
        for (index, outcome) in outcomes {
            self.settle_one(&mut state, (id, index), outcome, ended);
        }
        if let Some(reason) = failure {
            self.give_up_old(&mut state, shard, &reason, ended);
        }
        drop(state);
        self.inner.changed.notify_one();
    }

    /// Whether the shard is there; gives the reason when it turns out once more that it is not.
    fn hear(
        &self,
        state: &mut Inside,
        (shard, round): (&ShardName, Round),
        outcomes: &[(u32, Outcome)],
        (now_ms, chance): (i64, f64),
    ) -> Option<String> {
        if outcomes
            .iter()
            .any(|(_, outcome)| *outcome == Outcome::Done)
        {
            self.present(state, shard);
            return None;
        }
        let (how, reason) = outcomes.iter().find_map(|(_, outcome)| match outcome {
            Outcome::Away(how, reason) => Some((*how, reason.clone())),
            Outcome::Done | Outcome::Retry(_) | Outcome::Moved { .. } | Outcome::Dead(_) => None,
        })?;
        let news = self.absent(state, shard, (round, how), &reason, (now_ms, chance));
        news.then_some(reason)
    }

    fn settle_one(
        &self,
        state: &mut Inside,
        (id, index): (EntryId, u32),
        outcome: Outcome,
        ended: Ended,
    ) {
        let Some(entry) = state.queue.get(id) else {
            return;
        };
        let Some(target) = entry.targets.iter().find(|target| target.index == index) else {
            return;
        };
        let schedule = self.inner.config.schedule();
        let event = outcome.event(entry, target, &schedule, ended);
        if let Event::Dead(.., reason) = &event {
            report::dead_letter(entry, target, reason, ended.now_ms);
        }
        if let Err(error) = self.record(state, event) {
            tracing::warn!(entry = %id, %error, "an attempt's outcome was not recorded");
        }
    }

    /// A failed probe was an attempt for the whole queue: what is too old for another becomes dead
    /// letters.
    fn give_up_old(&self, state: &mut Inside, shard: &ShardName, reason: &str, ended: Ended) {
        let too_old = ended.now_ms - self.inner.config.schedule().lifetime_ms;
        let old = state
            .queue
            .due_since_before(too_old, ended.now_ms, shard, BATCH);
        for target in old {
            let outcome = Outcome::Away(NoAnswer::Late, reason.to_owned());
            self.settle_one(state, target, outcome, ended);
        }
    }
}
