//! What the queue must find without looking at every entry.

use std::collections::{BTreeMap, BTreeSet};

use wire::ids::ShardName;

use crate::spool::queue::entry::{Entry, EntryId, State};

/// The spool in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Messages.
    pub entries: usize,
    /// Their octets.
    pub bytes: u64,
    /// Targets that wait or are in flight.
    pub pending: usize,
    /// Targets that were given up.
    pub dead: usize,
    /// Targets that wait, by shard; those in flight are not among them.
    pub waiting: BTreeMap<ShardName, usize>,
}

/// Timetables by shard, entries by segment, counts.
#[derive(Debug, Default)]
pub(super) struct Index {
    due: BTreeMap<ShardName, BTreeSet<(i64, EntryId, u32)>>,
    segments: BTreeMap<u64, BTreeSet<EntryId>>,
    entries: usize,
    bytes: u64,
    /// Targets that wait or are in flight.
    pending: BTreeMap<ShardName, usize>,
    dead: usize,
}

impl Index {
    pub(super) fn add(&mut self, entry: &Entry) {
        self.entries += 1;
        self.bytes += entry.bytes();
        let segment = entry.body.position.segment;
        self.segments.entry(segment).or_default().insert(entry.id);
        for target in &entry.targets {
            match &target.state {
                State::Dead(_) => self.dead += 1,
                State::InFlight => *at(&mut self.pending, &target.shard) += 1,
                State::Due(due) => {
                    *at(&mut self.pending, &target.shard) += 1;
                    let place = (*due, entry.id, target.index);
                    at(&mut self.due, &target.shard).insert(place);
                }
            }
        }
    }

    pub(super) fn remove(&mut self, entry: &Entry) {
        self.entries -= 1;
        self.bytes -= entry.bytes();
        let segment = entry.body.position.segment;
        if let Some(ids) = self.segments.get_mut(&segment) {
            ids.remove(&entry.id);
            if ids.is_empty() {
                self.segments.remove(&segment);
            }
        }
        for target in &entry.targets {
            match &target.state {
                State::Dead(_) => self.dead -= 1,
                State::InFlight => self.settle(&target.shard),
                State::Due(due) => {
                    self.settle(&target.shard);
                    let place = (*due, entry.id, target.index);
                    if let Some(due) = self.due.get_mut(&target.shard) {
                        due.remove(&place);
                        if due.is_empty() {
                            self.due.remove(&target.shard);
                        }
                    }
                }
            }
        }
    }

    fn settle(&mut self, shard: &ShardName) {
        if let Some(pending) = self.pending.get_mut(shard) {
            *pending -= 1;
            if *pending == 0 {
                self.pending.remove(shard);
            }
        }
    }

    /// Whether anything waits for the shard or is on its way there.
    pub(super) fn is_pending(&self, shard: &ShardName) -> bool {
        self.pending.contains_key(shard)
    }

    /// The first of a shard's timetable.
    pub(super) fn first(&self, shard: &ShardName) -> Option<(i64, EntryId)> {
        let (at, id, _) = self.due.get(shard)?.first()?;
        Some((*at, *id))
    }

    /// Those of a shard's timetable that are due after `now_ms`, first things first.
    pub(super) fn later(
        &self,
        shard: &ShardName,
        now_ms: i64,
        limit: usize,
    ) -> Vec<(EntryId, u32)> {
        let Some(due) = self.due.get(shard) else {
            return Vec::new();
        };
        let later = due.range((now_ms.saturating_add(1), EntryId(0), 0)..);
        let later = later.take(limit).map(|(_, id, index)| (*id, *index));
        later.collect()
    }

    pub(super) fn shards(&self) -> Vec<ShardName> {
        self.due.keys().cloned().collect()
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = u64> {
        self.segments.keys().copied()
    }

    pub(super) fn in_segment(&self, segment: u64) -> BTreeSet<EntryId> {
        self.segments.get(&segment).cloned().unwrap_or_default()
    }

    pub(super) fn counts(&self) -> Counts {
        let waiting = self
            .due
            .iter()
            .map(|(shard, due)| (shard.clone(), due.len()));
        Counts {
            entries: self.entries,
            bytes: self.bytes,
            pending: self.pending.values().sum(),
            dead: self.dead,
            waiting: waiting.collect(),
        }
    }
}

/// What a map has for the shard; a new one if nothing.
fn at<'a, T: Default>(map: &'a mut BTreeMap<ShardName, T>, shard: &ShardName) -> &'a mut T {
    map.entry(shard.clone()).or_default()
}
