//! Reclaiming: what is alive in the oldest segment is written again, then the segment goes.
//!
//! Segments go oldest first, so a delete in a later one has nothing left to hide once its own turn
//! comes. An entry is carried only if it is alive when its copy is handed to the log; whatever
//! changes the key later is later in the log too. So a replay of what is left gives the same store.

use std::time::Duration;

use segments::{Log, SegmentInfo};

use super::apply::{Submitted, Work};
use super::engine::{Engine, refused};
use super::index::{Place, Slot};
use super::journal;
use super::proto::{Carried, Item};
use crate::store::Error;

/// Entries written again in one record, about.
const BATCH: usize = 128;

/// Segments that may be emptied for each new one: with two, the log shrinks even when the estimate
/// of what is alive is too low, and never writes more than thrice what it is given.
const EMPTIED_PER_NEW: u32 = 2;

/// How long to wait for the last copies to become durable, or for a load to end.
const WAIT: Duration = Duration::from_millis(20);

/// The state of reclaiming.
#[derive(Debug)]
pub(super) struct Carrier {
    reclaim_bytes: u64,
    /// The segment written to when it was last considered whether to start.
    newest: u64,
    /// Segments that may still be emptied before a new one is begun.
    allowance: u32,
    /// Octets and number of entries ever seen: their mean is that of the living, about.
    seen: (u64, u64),
    job: Option<Job>,
}

/// One segment that is being emptied.
#[derive(Debug)]
struct Job {
    segment: u32,
    /// Its living entries when this began, in the order of the log.
    slots: Vec<Slot>,
    next: usize,
    /// The last copy was handed to the log.
    all_submitted: bool,
}

impl Carrier {
    pub(super) fn new(reclaim_bytes: u64, seen: (u64, u64)) -> Self {
        Self {
            reclaim_bytes,
            newest: 0,
            allowance: EMPTIED_PER_NEW,
            seen,
            job: None,
        }
    }

    /// How soon there is something to do.
    pub(super) fn pause(&self) -> Option<Duration> {
        let job = self.job.as_ref()?;
        Some(if job.all_submitted {
            WAIT
        } else {
            Duration::ZERO
        })
    }

    /// An entry of so many octets was written.
    pub(super) fn saw(&mut self, octets: usize) {
        self.seen.0 += octets as u64;
        self.seen.1 += 1;
    }

    /// The segment to empty now, if the log is large for what is alive in it.
    fn due(&mut self, log: &Log, alive: usize) -> Option<u64> {
        let newest = log.end().segment;
        if newest == self.newest {
            return None;
        }
        if self.newest != 0 {
            self.allowance = EMPTIED_PER_NEW;
        }
        self.newest = newest;
        self.oldest_if_large(&log.segments(), alive)
    }

    fn oldest_if_large(&self, segments: &[SegmentInfo], alive: usize) -> Option<u64> {
        let total: u64 = segments.iter().map(|segment| segment.bytes).sum();
        let mean = self.seen.0 / self.seen.1.max(1);
        let alive = mean.saturating_mul(alive as u64);
        let large = total > self.reclaim_bytes && total > alive.saturating_mul(2);
        let oldest = segments.first().filter(|oldest| oldest.sealed)?;
        (large && self.allowance > 0).then_some(oldest.id)
    }
}

impl Engine {
    /// One small step, so that callers do not wait for long.
    pub(super) fn carry(&mut self) -> Result<(), Error> {
        let Some(job) = self.carrier.job.take() else {
            return self.begin();
        };
        self.carrier.job = match job {
            job if job.next < job.slots.len() => Some(self.copy(job)?),
            job if !job.all_submitted => Some(self.copy_nothing(job)?),
            job => self.remove(job)?,
        };
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Error> {
        let alive = self.shared.state().index.len();
        let Some(oldest) = self.carrier.due(&self.log, alive) else {
            return Ok(());
        };
        self.empty(oldest)
    }

    fn empty(&mut self, oldest: u64) -> Result<(), Error> {
        let segment = u32::try_from(oldest)
            .map_err(|_| Error::Failed(format!("segment {oldest} is beyond the index")))?;
        let inside = |slot: &Slot| slot.place.segment == segment;
        let slots = self.shared.state().index.in_order(inside);
        self.carrier.allowance -= 1;
        self.carrier.job = Some(Job {
            segment,
            slots,
            next: 0,
            all_submitted: false,
        });
        Ok(())
    }

    /// Writes the next entries again.
    fn copy(&mut self, mut job: Job) -> Result<Job, Error> {
        let mut items = Vec::new();
        let mut from = Vec::new();
        let mut next = job.next;
        while let Some(first) = job.slots.get(next).filter(|_| items.len() < BATCH) {
            let place = first.place;
            let here = job.slots[next..]
                .iter()
                .take_while(|slot| slot.place == place)
                .count();
            for (item, slot) in self.living(place, &job.slots[next..next + here])? {
                items.push(item);
                from.push(slot);
            }
            next += here;
        }
        if self.submit_copy(items, from, None)? {
            job.next = next;
        }
        Ok(job)
    }

    /// Entries of the record at `place` that are among `slots` and have not changed.
    fn living(&self, place: Place, slots: &[Slot]) -> Result<Vec<(Item, Slot)>, Error> {
        let journal = journal::read_at(&self.log, place)?;
        let items = journal.map_or_else(Vec::new, |journal| journal.items);
        let state = self.shared.state();
        let mut living = Vec::new();
        for item in items {
            let hash = self.shared.hasher.hash(&item.key);
            let Some(slot) = slots.iter().find(|slot| slot.hash == hash) else {
                continue;
            };
            let unchanged = state.index.get(hash) == Some(place);
            if unchanged && !state.pending.contains_key(&item.key) {
                living.push((item, *slot));
            }
        }
        Ok(living)
    }

    /// The last record of a segment's copies: when it is durable, all are.
    fn copy_nothing(&mut self, mut job: Job) -> Result<Job, Error> {
        job.all_submitted = self.submit_copy(Vec::new(), Vec::new(), Some(job.segment))?;
        Ok(job)
    }

    /// False: the log takes nothing now.
    fn submit_copy(
        &mut self,
        items: Vec<Item>,
        from: Vec<Slot>,
        emptied: Option<u32>,
    ) -> Result<bool, Error> {
        let revision = self.last.0;
        let record = journal::carried(&Carried { revision, items });
        let ticket = match self.log.submit(record).map_err(|error| refused(&error)) {
            Ok(ticket) => ticket,
            Err(Error::Unavailable(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        self.hand_over(Submitted {
            ticket: Some(ticket),
            work: Work::Carried(from, emptied),
        });
        Ok(true)
    }

    /// Removes the emptied segment, unless its copies are not yet durable or a load reads it.
    fn remove(&mut self, job: Job) -> Result<Option<Job>, Error> {
        let durable = self.shared.state().emptied == job.segment;
        if !durable || self.shared.is_pinned() {
            self.shared.check()?;
            return Ok(Some(job));
        }
        self.log
            .remove_segment(job.segment.into())
            .map_err(|error| Error::Failed(error.to_string()))?;
        tracing::debug!(
            segment = job.segment,
            "reclaimed a segment of the directory's log"
        );
        let alive = self.shared.state().index.len();
        if let Some(oldest) = self.carrier.oldest_if_large(&self.log.segments(), alive) {
            self.empty(oldest)?;
        }
        Ok(self.carrier.job.take())
    }
}
