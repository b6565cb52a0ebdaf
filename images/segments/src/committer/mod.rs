//! The one thread that writes: takes what waits, writes it as a group, syncs, answers.

pub(crate) mod group;
pub(crate) mod queue;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::committer::group::{Framed, group_size, write_group};
use crate::committer::queue::{Next, Waiting, Work};
use crate::error::LogError;
use crate::format::frame::{MARK, SEAL, Seal};
use crate::format::random;
use crate::format::segment::SegmentHeader;
use crate::log::Shared;
use crate::position::Position;
use crate::record::Record;
use crate::segments::{Tail, create_segment};

/// The writing end of a log.
pub(crate) struct Committer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tail: Tail,
    /// Whether there is something that no mark proves.
    pub(crate) unproven: bool,
}

impl Committer {
    /// Works until the log is closed or something fails.
    pub(crate) fn run(mut self) {
        loop {
            let done = match self.shared.queue.take() {
                Next::Group(group) => self.commit(group),
                Next::Seal(answer) => self.roll().map(|()| {
                    let _ = answer.send(Ok(self.position(self.tail.offset)));
                }),
                Next::End => {
                    if self.unproven
                        && self.shared.queue.failure().is_none()
                        && let Err(error) = self.mark()
                    {
                        tracing::warn!(%error, "could not mark the log's end");
                    }
                    return;
                }
            };
            if let Err(error) = done {
                tracing::error!(%error, "the log stopped");
                self.shared.queue.fail(&error);
                return;
            }
        }
    }

    /// Writes a control frame that proves, once it is read back, that all before it was synced.
    pub(crate) fn mark(&mut self) -> Result<(), LogError> {
        self.control(Record {
            kind: MARK,
            parts: Vec::new(),
        })
    }

    fn commit(&mut self, group: Vec<Waiting>) -> Result<(), LogError> {
        let mut answers = Vec::with_capacity(group.len());
        let mut records = Vec::with_capacity(group.len());
        for waiting in group {
            if let Work::Append(record) = waiting.work {
                records.push(record);
                answers.push(waiting.answer);
            }
        }
        match self.append(&records, false) {
            Ok(offsets) => {
                for (answer, offset) in answers.into_iter().zip(offsets) {
                    // Who no longer waits has dropped the ticket.
                    let _ = answer.send(Ok(self.position(offset)));
                }
                Ok(())
            }
            Err(error) => {
                // Refused first, so that who sees a failed ticket sees a failed log.
                self.shared.queue.fail(&error);
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
                Err(error)
            }
        }
    }

    fn control(&mut self, record: Record) -> Result<(), LogError> {
        self.append(&[record], true).map(|_| ())
    }

    /// Writes and syncs one group, in a new segment if this one is full; gives the offsets.
    fn append(&mut self, records: &[Record], control: bool) -> Result<Vec<u64>, LogError> {
        let group: Vec<_> = records
            .iter()
            .map(|record| Framed { record, control })
            .collect();
        let full = self.tail.offset + group_size(&group) > self.shared.options.segment_bytes;
        if full && !control && !self.tail.is_empty() {
            self.roll()?;
        }
        let offsets = write_group(&mut self.tail, &group)
            .map_err(|error| LogError::failed("a write", &error))?;
        let took = self.sync()?;
        self.unproven = !control;
        if !control {
            self.shared.counters.count(records, took);
        }
        Ok(offsets)
    }

    /// Syncs the tail; what is in it counts as durable from then on.
    fn sync(&mut self) -> Result<Duration, LogError> {
        let start = Instant::now();
        self.tail
            .file
            .sync_data()
            .map_err(|error| LogError::failed("a sync", &error))?;
        let took = start.elapsed();
        self.shared.segments_mut().synced(&self.tail);
        Ok(took)
    }

    /// Starts a new segment: made durable first, then named by the seal of this one.
    fn roll(&mut self) -> Result<(), LogError> {
        if self.tail.is_empty() {
            return Ok(());
        }
        let header = SegmentHeader {
            id: self.tail.header.id + 1,
            seed: random(),
            previous_seed: self.tail.header.seed,
            log: self.tail.header.log,
            first_group: self.tail.group + 1,
        };
        let file = create_segment(&*self.shared.disk, &header)
            .map_err(|error| LogError::failed("a new segment", &error))?;
        let seal = Seal {
            next: header.id,
            next_seed: header.seed,
        };
        self.control(Record::new(SEAL, seal.encode()))?;
        let sealed = self.tail.header.id;
        self.tail = Tail::start(header, file, self.tail.last_sum);
        let mut segments = self.shared.segments_mut();
        if let Some(known) = segments.get_mut(sealed) {
            known.sealed = true;
        }
        segments.insert(self.tail.known());
        Ok(())
    }

    fn position(&self, offset: u64) -> Position {
        Position {
            segment: self.tail.header.id,
            offset,
        }
    }
}

impl Drop for Committer {
    /// Should this thread ever panic, nobody waits for it in vain.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = LogError::failed("the committer", &io::Error::other("it panicked"));
            self.shared.queue.fail(&error);
        }
    }
}
