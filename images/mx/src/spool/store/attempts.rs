//! What is due, how attempts went, and trying again when asked to.

use log::LogError;
use wire::ids::ShardName;

use crate::spool::queue::{Entry, EntryId, Event, Retry, State, Target};
use crate::spool::runner::Outcome;
use crate::spool::store::Spool;

impl Spool {
    /// Makes dead letters and waiting targets of these entries due now; gives how many targets.
    pub fn retry_now(&self, ids: &[EntryId]) -> Result<usize, LogError> {
        self.retry_where(ids, |target| !matches!(target.state, State::InFlight))
    }

    /// Makes all waiting targets due now, but no dead letters; gives how many.
    pub fn retry_all(&self) -> Result<usize, LogError> {
        let ids: Vec<_> = {
            let state = self.lock();
            state
                .queue
                .after(EntryId(0))
                .map(|entry| entry.id)
                .collect()
        };
        self.retry_where(&ids, |target| matches!(target.state, State::Due(_)))
    }

    fn retry_where(
        &self,
        ids: &[EntryId],
        wanted: impl Fn(&Target) -> bool,
    ) -> Result<usize, LogError> {
        let now = self.inner.clock.now();
        let mut state = self.lock();
        let mut retried = 0;
        for id in ids {
            let targets = state.queue.get(*id).map(|entry| entry.targets.clone());
            for target in targets.unwrap_or_default() {
                if wanted(&target) {
                    self.record(&mut state, again(*id, &target, now))?;
                    retried += 1;
                }
            }
        }
        drop(state);
        self.inner.changed.notify_one();
        Ok(retried)
    }

    /// Shards in whose queues something waits, and when the first of each is due.
    pub(in crate::spool) fn due(&self) -> Vec<(ShardName, i64)> {
        let state = self.lock();
        let shards = state.queue.shards().into_iter();
        shards
            .filter_map(|shard| state.queue.next_due(&shard).map(|due| (shard, due)))
            .collect()
    }

    /// Takes what is due longest for a shard.
    pub(in crate::spool) fn take_due(&self, shard: &ShardName) -> Option<(Entry, Vec<u32>)> {
        let now = self.inner.clock.now();
        self.lock().queue.take_due(now, shard)
    }

    /// Records how an attempt went. Not waited for: were it lost, the target would only be asked
    /// again, and know the delivery id.
    pub(in crate::spool) fn settle(&self, entry: &Entry, index: u32, outcome: Outcome) {
        let now = self.inner.clock.now();
        let chance = (self.inner.clock.chance)();
        let mut state = self.lock();
        let current = state.queue.get(entry.id);
        let target = current.and_then(|e| e.targets.iter().find(|t| t.index == index));
        let Some(target) = target else {
            return;
        };
        let event = outcome.event(entry, target, &self.inner.config.schedule, now, chance);
        if let Err(error) = self.record(&mut state, event) {
            tracing::warn!(entry = %entry.id, %error, "an attempt's outcome was not recorded");
        }
        drop(state);
        self.inner.changed.notify_one();
    }
}

/// Due now, whatever it waited for.
fn again(id: EntryId, target: &Target, now_ms: i64) -> Event {
    Event::Retry(Retry {
        entry: id,
        target: target.index,
        attempts: target.attempts,
        last_error: target.last_error.clone(),
        next_attempt_ms: now_ms,
        shard: target.shard.clone(),
        epoch: target.epoch,
    })
}
