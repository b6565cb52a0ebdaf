//! The shard's volume: its lock, its heap, and the index that follows from the heap.
//!
//! `lock` names who has the volume; `heap/` holds the log; `index/` can be thrown away.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use segments::{Disk, Log, Options, Position, Record};

use crate::index::writer::{ApplyError, Writer, fingerprint};
use crate::index::{Index, IndexError};
use crate::records::{Decoded, Entry, RecordError};

pub(crate) mod lock;

pub use self::lock::{VolumeLock, heap};

/// Records replayed in one batch of the index.
const REPLAY_BATCH: usize = 256;

/// Why a volume cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// Another process has it.
    #[error(
        "{file} is locked by another process ({holder}): one process serves a volume; \
         stop that one first", file = file.display()
    )]
    Locked {
        /// The lock file.
        file: PathBuf,
        /// What the holder wrote there.
        holder: String,
    },
    /// The operating system failed.
    #[error("cannot {what} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The heap cannot be read; nothing was changed.
    #[error("the heap does not open: {0}")]
    Heap(#[from] segments::OpenError),
    /// A new index cannot be made either.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// An open heap and the index that reflects all of it.
pub struct Volume {
    /// The heap.
    pub log: Log,
    /// The index, by its only writer.
    pub writer: Writer,
    /// Records that were replayed.
    pub replayed: u64,
    /// Why the index was thrown away, if it was.
    pub rebuilt: Option<String>,
}

/// Opens heap and index; on any doubt about the index it is rebuilt. The index keeps `lock`, as
/// the disk of [`heap`] does. Blocks.
pub fn open(
    disk: Arc<dyn Disk>,
    options: Options,
    index: &Path,
    lock: Option<&VolumeLock>,
) -> Result<Volume, VolumeError> {
    match replay(&disk, &options, index, lock) {
        Ok(volume) => Ok(volume),
        Err(Stop::Doubt(reason)) => {
            tracing::warn!(%reason, "the index is rebuilt");
            remove_index(index)?;
            let mut volume = replay(&disk, &options, index, lock).map_err(|stop| match stop {
                Stop::Heap(error) => VolumeError::Heap(error),
                Stop::Index(error) => VolumeError::Index(error),
                Stop::Doubt(reason) => VolumeError::Heap(segments::OpenError::Visit {
                    at: Position {
                        segment: 0,
                        offset: 0,
                    },
                    source: reason.into(),
                }),
            })?;
            volume.rebuilt = Some(reason);
            Ok(volume)
        }
        Err(Stop::Heap(error)) => Err(VolumeError::Heap(error)),
        Err(Stop::Index(error)) => Err(VolumeError::Index(error)),
    }
}

/// Throws the index away, so that the next opening rebuilds it.
pub fn remove_index(index: &Path) -> Result<(), VolumeError> {
    match std::fs::remove_dir_all(index) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(VolumeError::Io {
            what: "remove",
            path: index.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

enum Stop {
    /// The index is not what follows from the heap, or cannot be read.
    Doubt(String),
    Heap(segments::OpenError),
    Index(IndexError),
}

fn replay(
    disk: &Arc<dyn Disk>,
    options: &Options,
    folder: &Path,
    lock: Option<&VolumeLock>,
) -> Result<Volume, Stop> {
    let fresh = !folder.exists();
    let unsure = |error: IndexError| match fresh {
        true => Stop::Index(error),
        false => Stop::Doubt(error.to_string()),
    };
    let index = Index::open(folder, lock.cloned()).map_err(unsure)?;
    let progress = index.progress().map_err(unsure)?;
    if progress.is_none() && !fresh && index.accounts().next().is_some() {
        return Err(Stop::Doubt(
            "it does not say how far it has come".to_owned(),
        ));
    }
    let writer = Writer::new(index).map_err(unsure)?;
    let mut replayer = Replayer {
        writer,
        expected: progress,
        batch: Vec::with_capacity(REPLAY_BATCH),
        sum: 0,
        replayed: 0,
    };
    let from = progress.map(|(at, _)| at);
    let opened = Log::open(
        Arc::clone(disk),
        options.clone(),
        from,
        &mut |at, record| Ok(replayer.take(at, &record)?),
    );
    let log = opened.map_err(|error| match error {
        segments::OpenError::BadCheckpoint { .. } | segments::OpenError::Visit { .. }
            if from.is_some() =>
        {
            Stop::Doubt(error.to_string())
        }
        error => Stop::Heap(error),
    })?;
    if replayer.expected.is_some() {
        return Err(Stop::Doubt("the heap ends before it".to_owned()));
    }
    let finished = replayer.flush();
    finished.map_err(|error| Stop::Doubt(error.to_string()))?;
    Ok(Volume {
        log,
        writer: replayer.writer,
        replayed: replayer.replayed,
        rebuilt: None,
    })
}

/// Why a record cannot be replayed.
#[derive(Debug, thiserror::Error)]
enum ReplayError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("the index is of another heap")]
    Foreign,
}

struct Replayer {
    writer: Writer,
    /// The record that the index says it has come to: the first one to be seen.
    expected: Option<(Position, u64)>,
    batch: Vec<(Position, Decoded)>,
    sum: u64,
    replayed: u64,
}

impl Replayer {
    fn take(&mut self, at: Position, record: &Record) -> Result<(), ReplayError> {
        let payload = record.payload();
        let decoded = Entry::decode(record.kind, &payload)?;
        let before_body = match decoded.layout.body_at as usize {
            0 => payload.len(),
            body_at => body_at,
        };
        let sum = fingerprint(record.kind, &payload[..before_body]);
        if let Some(expected) = self.expected.take() {
            return match expected == (at, sum) {
                true => Ok(()),
                false => Err(ReplayError::Foreign),
            };
        }
        self.sum = sum;
        self.batch.push((at, decoded));
        if self.batch.len() == REPLAY_BATCH {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ApplyError> {
        let records = self.batch.iter().map(|(at, decoded)| (*at, decoded));
        self.writer.apply(records, self.sum)?;
        self.replayed += self.batch.len() as u64;
        self.batch.clear();
        Ok(())
    }
}
