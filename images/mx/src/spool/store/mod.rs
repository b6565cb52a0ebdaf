//! The spool itself: the queue, its log, and who waits for either.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard, RwLock};
use segments::{Disk, Log, LogError, Position, Space};
use tokio::sync::{Notify, watch};

use crate::spool::body::Body;
use crate::spool::config::{Clock, Config};
use crate::spool::queue::{Away, BodyAt, Counts, Entry, EntryId, Event, Queue};
use crate::spool::record;

mod accept;
mod attempts;
mod open;
mod presence;
mod remove;
mod reopen;
mod room;
mod settle;
mod snapshots;

pub(super) use self::attempts::Taken;
pub(super) use self::reopen::NotReopened;
use self::snapshots::Growth;

pub use self::accept::{AcceptError, NewEntry, NewTarget};
pub use self::remove::NotRemoved;
pub use self::room::Trouble;

/// Why the spool does not open.
pub type OpenError = segments::OpenError;

/// The spool. Cheap to clone.
#[derive(Clone)]
pub struct Spool {
    inner: Arc<Inner>,
}

struct Inner {
    disk: Arc<dyn Disk>,
    /// Another one after it failed.
    log: RwLock<Log>,
    config: Config,
    clock: Clock,
    /// Something is due earlier than the runner knew.
    changed: Notify,
    /// Somebody was refused for want of space, or some can be given back.
    short: Notify,
    /// The log has grown so much that a snapshot is worth its octets.
    grown: Notify,
    growth: Growth,
    /// Of the volume, as last seen.
    space: Mutex<Space>,
    trouble: watch::Sender<Option<Trouble>>,
    /// Goes up whenever a shard that was away is there again, or is worth a try.
    returns: watch::Sender<u64>,
    state: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    queue: Queue,
    away: Away,
    /// Entries on their way to the disk: their octets, and the earliest place they may be at.
    coming: BTreeMap<EntryId, (u64, Position)>,
}

impl Spool {
    /// At most `limit` entries after this one that `wanted` takes.
    pub fn list(
        &self,
        after: EntryId,
        limit: usize,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Vec<Entry> {
        let state = self.lock();
        let entries = state.queue.after(after).filter(|entry| wanted(entry));
        entries.take(limit).cloned().collect()
    }

    /// An entry.
    pub fn show(&self, id: EntryId) -> Option<Entry> {
        self.lock().queue.get(id).cloned()
    }

    /// The body of an entry.
    pub fn body(&self, entry: &Entry) -> Body {
        Body::new(self.clone(), entry)
    }

    /// The spool in numbers.
    pub fn counts(&self) -> Counts {
        self.lock().queue.counts()
    }

    /// Shards that do not answer.
    pub fn away(&self) -> usize {
        self.lock().away.count()
    }

    /// Octets on disk, with what is delivered and not reclaimed yet.
    pub fn disk_bytes(&self) -> u64 {
        let segments = self.log().segments();
        segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Syncs of its log since it was opened; from 0 again when it was opened again.
    pub fn syncs(&self) -> u64 {
        self.log().stats().groups
    }

    /// Whether its log failed: nothing more is accepted until it is open again.
    pub fn failed(&self) -> bool {
        self.log().failed()
    }

    pub(super) fn config(&self) -> &Config {
        &self.inner.config
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    pub(super) fn log(&self) -> Log {
        let log = self.inner.log.read();
        log.clone()
    }

    /// Goes on with this log. Who calls it holds the state, so that every event goes to one of the
    /// two and none is in neither.
    fn replace_log(&self, log: Log) {
        let mut place = self.inner.log.write();
        *place = log;
        self.inner.growth.restart();
    }

    /// Where an entry's body is now.
    pub(super) fn body_at(&self, id: EntryId) -> Option<BodyAt> {
        self.lock().queue.get(id).map(|entry| entry.body)
    }

    /// Waits until something is due that was not.
    pub(super) async fn changed(&self) {
        self.inner.changed.notified().await;
    }

    /// Waits until somebody is refused for want of space, or some can be given back.
    pub(super) async fn short_of_space(&self) {
        self.inner.short.notified().await;
    }

    /// Writes an entry with its present state at the end of the log, to free its old segment.
    pub(super) async fn rewrite(&self, id: EntryId, body: Bytes) -> Result<(), LogError> {
        let (ticket, start, length) = {
            let state = self.lock();
            let Some(entry) = state.queue.get(id) else {
                return Ok(());
            };
            let length = body.len() as u64;
            let (record, start) = record::accepted(entry, [body]);
            (self.log().submit(record)?, start, length)
        };
        let position = ticket.await?;
        let body = BodyAt {
            position,
            start,
            length,
        };
        self.lock().queue.moved(id, body);
        Ok(())
    }

    /// Entries in a segment; none if entries may be in it that the queue does not know yet.
    pub(super) fn in_segment(&self, segment: u64) -> Option<Vec<Entry>> {
        let state = self.lock();
        if state
            .coming
            .values()
            .any(|(_, from)| from.segment <= segment)
        {
            return None;
        }
        let ids = state.queue.in_segment(segment).into_iter();
        Some(ids.filter_map(|id| state.queue.get(id).cloned()).collect())
    }

    /// Records an event and applies it, in the same order as all others.
    fn record(&self, state: &mut Inside, event: Event) -> Result<(), LogError> {
        let answer = self.log().submit(record::event(&event));
        state.queue.apply(event);
        answer.map(drop).inspect_err(|_| self.tell())
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inner.state.lock()
    }
}
