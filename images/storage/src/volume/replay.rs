//! Brings the index to where the heap is, or says why that cannot be.

use std::sync::Arc;

use segments::{Disk, Extent, Log, OpenError, Options, Position, Record};

use super::{Beside, Lost, Volume, VolumeLock};
use crate::index::writer::{ApplyError, Writer, fingerprint};
use crate::index::{self, Index, IndexError, Trouble};
use crate::opening::Progress;
use crate::records::{Decoded, Entry, RecordError};
use crate::shard::Tally;

/// Records replayed in one batch of the index.
const REPLAY_BATCH: usize = 256;

/// Why index and heap do not come together.
pub(super) enum Stop {
    /// The index is proven damaged, or of another heap.
    Damaged(String),
    /// The heap is proven to have lost what was acknowledged.
    Lost(Lost),
    /// The heap does not open.
    Heap(OpenError),
    /// The index fails, and that may pass.
    Passing(IndexError),
    /// A record of the heap does not follow from those before it; with an index that was there
    /// before, either may be at fault.
    Refused(Position, String),
}

/// Opens heap and index, and indexes what is not indexed yet.
pub(super) fn replay(
    disk: &Arc<dyn Disk>,
    options: &Options,
    beside: &Beside,
    lock: Option<&VolumeLock>,
    progress: &Progress,
) -> Result<Volume, Stop> {
    let index = Index::open(beside.index(), lock.cloned()).map_err(stop)?;
    let known = index.progress().map_err(stop)?;
    let mut tally = Tally::default();
    let verified = index.verify(|id, account| tally.add(id, account));
    verified.map_err(stop)?;
    let of_log = Log::id_on(&**disk).map_err(Stop::Heap)?;
    if let (Some(known), Some(log)) = (known, of_log)
        && known.log != log
    {
        return Err(Stop::Damaged("it is of another heap".to_owned()));
    }
    let mut replayer = Replayer {
        writer: Writer::new(index, of_log.unwrap_or(0)).map_err(stop)?,
        expected: known,
        batch: Vec::with_capacity(REPLAY_BATCH),
        sum: 0,
        replayed: 0,
        tally,
        progress: progress.clone(),
    };
    let log = open_log(disk, options, known, &mut replayer)?;
    replayer
        .flush()
        .map_err(|error| apply_stop(log.end(), error))?;
    replayer.writer.set_log(log.id());
    Ok(Volume {
        log,
        writer: replayer.writer,
        replayed: replayer.replayed,
        rebuilt: None,
        tally: replayer.tally,
        doubt: beside.doubt(),
    })
}

/// Opens the heap; the index must not know more than it.
fn open_log(
    disk: &Arc<dyn Disk>,
    options: &Options,
    known: Option<index::Progress>,
    replayer: &mut Replayer,
) -> Result<Log, Stop> {
    let from = known.map(|known| known.at);
    // What cannot be measured is not told; the opening itself says what is wrong with it.
    let extent = Extent::on(&**disk, from).unwrap_or_default();
    replayer.progress.begins(extent);
    let mut stopped = None;
    let opened = Log::open(
        Arc::clone(disk),
        options.clone(),
        from,
        &mut |at, record| {
            replayer.take(at, &record).map_err(|stop| {
                stopped = Some(stop);
                "the index does not take it".into()
            })
        },
    );
    let lost = |known, end| Stop::Lost(Lost { known, end });
    let log = opened.map_err(|error| match (error, stopped) {
        // A record may only be missing where the heap lost some: the log is the index's own.
        (OpenError::BadCheckpoint { from, end, .. }, _) => lost(from, end),
        (_, Some(stop)) => stop,
        (error, None) => Stop::Heap(error),
    })?;
    match replayer.expected {
        Some(known) => Err(lost(known.at, log.end())),
        None => Ok(log),
    }
}

struct Replayer {
    writer: Writer,
    /// The record that the index says it has come to: the first one to be seen.
    expected: Option<index::Progress>,
    batch: Vec<(Position, Decoded)>,
    sum: u64,
    replayed: u64,
    tally: Tally,
    progress: Progress,
}

impl Replayer {
    fn take(&mut self, at: Position, record: &Record) -> Result<(), Stop> {
        self.progress.reached(at);
        let payload = record.payload();
        let decoded = Entry::decode(record.kind, &payload)
            .map_err(|error: RecordError| Stop::Refused(at, error.to_string()))?;
        let before_body = match decoded.layout.body_at as usize {
            0 => payload.len(),
            body_at => body_at,
        };
        let sum = fingerprint(record.kind, &payload[..before_body]);
        if let Some(expected) = self.expected.take() {
            let end = at;
            return match (expected.at, expected.sum) == (at, sum) {
                true => Ok(()),
                // In its own log another record stands where the one it knows stood.
                false => Err(Stop::Lost(Lost {
                    known: expected.at,
                    end,
                })),
            };
        }
        self.sum = sum;
        self.batch.push((at, decoded));
        if self.batch.len() == REPLAY_BATCH {
            self.flush().map_err(|error| apply_stop(at, error))?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ApplyError> {
        let records = self.batch.iter().map(|(at, decoded)| (*at, decoded));
        let effects = self.writer.apply(records, self.sum)?;
        effects.iter().for_each(|effect| self.tally.follow(effect));
        self.replayed += self.batch.len() as u64;
        self.batch.clear();
        Ok(())
    }
}

fn stop(error: IndexError) -> Stop {
    match error.trouble() {
        Trouble::Passing => Stop::Passing(error),
        Trouble::Damage => Stop::Damaged(error.to_string()),
    }
}

fn apply_stop(until: Position, error: ApplyError) -> Stop {
    match error {
        ApplyError::Index(error) => stop(error),
        ApplyError::Inconsistent { at, source } => {
            debug_assert!(at <= until);
            Stop::Refused(at, source.to_string())
        }
    }
}
