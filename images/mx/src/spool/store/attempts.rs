//! What is due, and trying again when asked to.

use std::collections::BTreeMap;

use segments::LogError;
use wire::ids::ShardName;

use crate::spool::queue::{Entry, EntryId, Event, Retry, Round, State, Target};
use crate::spool::store::{Inside, Spool};

/// Entries that are changed in one go, while nobody else gets at the queue.
const BATCH: usize = 1000;

/// What is to be tried.
pub(in crate::spool) struct Taken {
    pub(in crate::spool) entry: Entry,
    /// Numbers of the targets, all in one shard's queue.
    pub(in crate::spool) targets: Vec<u32>,
    /// For [`Spool::settle`].
    pub(in crate::spool) round: Round,
}

impl Spool {
    /// Makes dead letters and waiting targets of these entries due now, before all others of their
    /// shards' queues; gives how many targets. A shard that is away is probed at once.
    pub fn retry_now(&self, ids: &[EntryId]) -> Result<usize, LogError> {
        self.retry_where(ids, |target| !matches!(target.state, State::InFlight))
    }

    /// Makes all waiting targets due now, but no dead letters; gives how many. Shards that are away
    /// are probed at once.
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
        let mut places = BTreeMap::new();
        let mut retried = 0;
        for ids in ids.chunks(BATCH) {
            let mut state = self.lock();
            for id in ids {
                let targets = state.queue.get(*id).map(|entry| entry.targets.clone());
                for target in targets.unwrap_or_default().iter().filter(|t| wanted(t)) {
                    let first = state.queue.next_due(&target.shard);
                    let place = places
                        .entry(target.shard.clone())
                        .or_insert_with(|| first.map_or(now, |first| now.min(first - 1)));
                    self.retry_one(&mut state, *id, target, *place)?;
                    retried += 1;
                }
            }
        }
        let mut state = self.lock();
        places.keys().for_each(|shard| state.away.hurry(shard, now));
        drop(state);
        self.inner.changed.notify_one();
        Ok(retried)
    }

    /// That a dead letter lives again is recorded; that a living one is due earlier need not be.
    fn retry_one(
        &self,
        state: &mut Inside,
        id: EntryId,
        target: &Target,
        at_ms: i64,
    ) -> Result<(), LogError> {
        let event = again(id, target, at_ms);
        match target.state {
            State::Dead(_) => self.record(state, event),
            State::Due(_) | State::InFlight => {
                state.queue.apply(event);
                Ok(())
            }
        }
    }

    /// Shards in whose queues something waits, and when the first of each is due.
    pub(in crate::spool) fn due(&self) -> Vec<(ShardName, i64)> {
        let state = self.lock();
        let shards = state.queue.shards().into_iter();
        let due = |shard: ShardName| {
            let due = state.queue.next_due(&shard)?;
            let probe = state.away.until(&shard).unwrap_or(due);
            Some((shard, due.max(probe)))
        };
        shards.filter_map(due).collect()
    }

    /// Whether one attempt at a time is enough for the shard.
    pub(in crate::spool) fn is_probed(&self, shard: &ShardName) -> bool {
        self.lock().away.until(shard).is_some()
    }

    /// Takes what is due longest for a shard.
    pub(in crate::spool) fn take_due(&self, shard: &ShardName) -> Option<Taken> {
        let now = self.inner.clock.now();
        let mut state = self.lock();
        if state.away.until(shard).is_some_and(|probe| probe > now) {
            return None;
        }
        let (entry, targets) = state.queue.take_due(now, shard)?;
        let round = state.away.begin(shard, now);
        Some(Taken {
            entry,
            targets,
            round,
        })
    }
}

/// Due then, whatever it waited for.
fn again(id: EntryId, target: &Target, at_ms: i64) -> Event {
    Event::Retry(Retry {
        entry: id,
        target: target.index,
        attempts: target.attempts,
        last_error: target.last_error.clone(),
        next_attempt_ms: at_ms,
        shard: target.shard.clone(),
        epoch: target.epoch,
    })
}
