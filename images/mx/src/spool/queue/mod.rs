//! The queue: what is pending, for which shard, since when. Pure: no IO, no clock.
//!
//! It changes by [`Event`]s only, which are what the log records; so recovery is applying them
//! again. Invariants, checked by tests after every event:
//!
//! 1. A due target is in its shard's timetable at its time, and nothing else is in there.
//! 2. An entry is here while it has a target that is pending or dead, and no longer.
//! 3. Counts are what counting gives.

mod away;
mod difference;
mod entry;
mod index;

use std::collections::{BTreeMap, BTreeSet};

use wire::ids::{Epoch, ShardName};

pub use self::away::{Away, Gate, NoAnswer, Round, Word};
pub use self::difference::{Lost, difference};
pub use self::entry::{BodyAt, Entry, EntryId, State, Target};
pub use self::index::Counts;

use self::index::Index;

/// Something that happened to an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was taken, or written forward in the log.
    Accepted(Entry),
    /// A target has it.
    Done(EntryId, u32),
    /// A target is to get it later, perhaps elsewhere.
    Retry(Retry),
    /// A target was given up, for this reason.
    Dead(EntryId, u32, String),
    /// An administrator dropped it.
    Removed(EntryId),
}

/// A target's next attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The entry.
    pub entry: EntryId,
    /// The target's number.
    pub target: u32,
    /// Attempts that failed.
    pub attempts: u32,
    /// Why the last one did.
    pub last_error: String,
    /// When to try, milliseconds since 1970.
    pub next_attempt_ms: i64,
    /// In whose queue.
    pub shard: ShardName,
    /// Routed by this epoch.
    pub epoch: Epoch,
}

/// Everything spooled.
#[derive(Debug, Default)]
pub struct Queue {
    entries: BTreeMap<EntryId, Entry>,
    index: Index,
    last_id: u64,
}

impl Queue {
    /// The number for a new entry.
    pub fn new_id(&mut self) -> EntryId {
        self.last_id += 1;
        EntryId(self.last_id)
    }

    /// Applies what happened. Events about entries and targets that are gone change nothing.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Accepted(entry) => self.insert(entry),
            Event::Done(id, target) => self.update(id, |entry| {
                entry.targets.retain(|kept| kept.index != target);
            }),
            Event::Retry(retry) => self.update(retry.entry, |entry| {
                if let Some(target) = find(entry, retry.target) {
                    target.attempts = retry.attempts;
                    target.last_error = retry.last_error;
                    target.shard = retry.shard;
                    target.epoch = retry.epoch;
                    target.state = State::Due(retry.next_attempt_ms);
                }
            }),
            Event::Dead(id, target, reason) => self.update(id, |entry| {
                if let Some(target) = find(entry, target) {
                    target.state = State::Dead(reason);
                }
            }),
            Event::Removed(id) => self.update(id, |entry| entry.targets.clear()),
        }
    }

    /// Takes the message that is due longest for the shard, with all its targets there that are
    /// due; they are in flight until an event says how that went.
    pub fn take_due(&mut self, now_ms: i64, shard: &ShardName) -> Option<(Entry, Vec<u32>)> {
        let (due, id) = self.index.first(shard)?;
        if due > now_ms {
            return None;
        }
        let mut taken = Vec::new();
        self.update(id, |entry| {
            for target in &mut entry.targets {
                let ready = matches!(target.state, State::Due(at) if at <= now_ms);
                if ready && target.shard == *shard {
                    target.state = State::InFlight;
                    taken.push(target.index);
                }
            }
        });
        Some((self.entries.get(&id)?.clone(), taken))
    }

    /// Targets of messages received before `received_ms` that are due in the shard's queue; at most
    /// `limit` messages.
    pub fn due_since_before(
        &self,
        received_ms: i64,
        now_ms: i64,
        shard: &ShardName,
        limit: usize,
    ) -> Vec<(EntryId, u32)> {
        let due = |target: &&Target| {
            target.shard == *shard && matches!(target.state, State::Due(at) if at <= now_ms)
        };
        let old = self.entries.values();
        let old = old.filter(|entry| entry.received_at_ms <= received_ms);
        let old = old.filter(|entry| entry.targets.iter().any(|target| due(&target)));
        let targets = old.take(limit).flat_map(|entry| {
            let due = entry.targets.iter().filter(due);
            due.map(|target| (entry.id, target.index))
        });
        targets.collect()
    }

    /// Makes targets in the shard's queue that are due later due now; how many, at most `limit`.
    /// The oldest message comes first then.
    pub fn bring_forward(&mut self, shard: &ShardName, now_ms: i64, limit: usize) -> usize {
        let later = self.index.later(shard, now_ms, limit);
        for (id, index) in &later {
            self.update(*id, |entry| {
                if let Some(target) = find(entry, *index) {
                    target.state = State::Due(now_ms);
                }
            });
        }
        later.len()
    }

    /// When the next target of the shard is due.
    pub fn next_due(&self, shard: &ShardName) -> Option<i64> {
        self.index.first(shard).map(|(due, _)| due)
    }

    /// Whether anything waits for the shard or is on its way there.
    pub fn is_pending(&self, shard: &ShardName) -> bool {
        self.index.is_pending(shard)
    }

    /// Shards with due targets.
    pub fn shards(&self) -> Vec<ShardName> {
        self.index.shards()
    }

    /// An entry.
    pub fn get(&self, id: EntryId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// Entries after this one, in order of their numbers.
    pub fn after(&self, id: EntryId) -> impl Iterator<Item = &Entry> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.entries
            .range((Excluded(id), Unbounded))
            .map(|(_, entry)| entry)
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is spooled.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is in it, in numbers.
    pub fn counts(&self) -> Counts {
        self.index.counts()
    }

    /// Entries whose record is in the segment.
    pub fn in_segment(&self, segment: u64) -> BTreeSet<EntryId> {
        self.index.in_segment(segment)
    }

    /// The entry's record was written again, there.
    pub fn moved(&mut self, id: EntryId, body: BodyAt) {
        self.update(id, |entry| entry.body = body);
    }

    /// The highest number given so far.
    pub fn last_id(&self) -> EntryId {
        EntryId(self.last_id)
    }

    /// Numbers up to this one were given.
    pub fn skip_to(&mut self, last: EntryId) {
        self.last_id = self.last_id.max(last.0);
    }

    /// Segments that entries' records are in.
    pub fn segments(&self) -> impl Iterator<Item = u64> {
        self.index.segments()
    }

    fn insert(&mut self, entry: Entry) {
        self.last_id = self.last_id.max(entry.id.0);
        if let Some(old) = self.entries.remove(&entry.id) {
            self.index.remove(&old);
        }
        if !entry.targets.is_empty() {
            self.index.add(&entry);
            self.entries.insert(entry.id, entry);
        }
    }

    /// Changes an entry, if it is here, and drops it if nothing is left to do for it.
    fn update(&mut self, id: EntryId, change: impl FnOnce(&mut Entry)) {
        self.last_id = self.last_id.max(id.0);
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        self.index.remove(entry);
        change(entry);
        if entry.targets.is_empty() {
            self.entries.remove(&id);
        } else {
            self.index.add(entry);
        }
    }
}

fn find(entry: &mut Entry, index: u32) -> Option<&mut Target> {
    entry
        .targets
        .iter_mut()
        .find(|target| target.index == index)
}

#[cfg(test)]
mod tests;
