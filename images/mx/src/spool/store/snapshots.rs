//! When a snapshot is worth its octets, and from where it counts.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::spool::queue::{Entry, EntryId};
use crate::spool::snapshot;
use crate::spool::store::Spool;

/// How many times its own length the log grows between two snapshots at least.
const FACTOR: u64 = 2;

/// How far the log had grown at the last snapshot, and how far it must for the next.
pub(super) struct Growth {
    least: u64,
    last: AtomicU64,
    step: AtomicU64,
    /// Held while a snapshot is written: one that was begun goes on when nobody waits for it.
    writing: Mutex<()>,
}

impl Growth {
    /// Between two snapshots the log grows by `least` octets at least.
    pub(super) fn new(least: u64) -> Self {
        Self {
            least,
            last: AtomicU64::new(0),
            step: AtomicU64::new(least),
            writing: Mutex::new(()),
        }
    }

    fn is_enough(&self, written: u64) -> bool {
        let since = written.saturating_sub(self.last.load(Ordering::Relaxed));
        since >= self.step.load(Ordering::Relaxed)
    }

    fn begin(&self, written: u64) {
        self.last.store(written, Ordering::Relaxed);
    }

    /// Another log counts from 0.
    pub(super) fn restart(&self) {
        self.begin(0);
    }

    fn end(&self, octets: u64) {
        let step = octets.saturating_mul(FACTOR).max(self.least);
        self.step.store(step, Ordering::Relaxed);
    }
}

impl Spool {
    /// Waits until a snapshot is due.
    pub(in crate::spool) async fn grown(&self) {
        self.inner.grown.notified().await;
    }

    /// Says so if a snapshot is due.
    pub(super) fn check_growth(&self) {
        if self.inner.growth.is_enough(self.log().stats().bytes) {
            self.inner.grown.notify_one();
        }
    }

    /// Writes a snapshot if the log has grown enough since the last. Must not run together with a
    /// rewriting of entries: between its record and its news the queue would name the old place,
    /// and the snapshot say that this is all. Blocks.
    pub(in crate::spool) fn snapshot_if_grown(&self) -> io::Result<bool> {
        let (log, growth) = (self.log(), &self.inner.growth);
        let _writing = growth.writing.lock();
        let written = log.stats().bytes;
        if log.failed() || !growth.is_enough(written) || self.is_too_full(self.look_now(), 0) {
            return Ok(false);
        }
        growth.begin(written);
        let (at, last) = {
            let state = self.lock();
            let coming = state.coming.values().map(|(_, from)| *from);
            let at = coming.fold(log.end(), |at, from| at.min(from));
            (at, state.queue.last_id())
        };
        let octets = snapshot::write(&*self.inner.disk, at, last, |after, limit| {
            self.page(after, limit)
        })?;
        growth.end(octets);
        Ok(true)
    }

    fn page(&self, after: EntryId, limit: usize) -> Vec<Entry> {
        self.list(after, limit, |_| true)
    }
}
