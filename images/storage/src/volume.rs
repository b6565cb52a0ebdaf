//! The shard's volume: its lock, its heap, and the index that follows from the heap.
//!
//! `lock` names who has the volume; `heap/` holds the log; `index/` can be thrown away.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::{Disk, Log, Options, Position, Record};
use wire::ids::Incarnation;

use crate::index::writer::{ApplyError, Writer, fingerprint};
use crate::index::{Index, IndexError};
use crate::records::{Decoded, Entry, RecordError};

/// Records replayed in one batch of the index.
const REPLAY_BATCH: usize = 256;

/// Longest text of a lock file that is read: ours is a line.
const LOCK_TEXT: u64 = 1000;

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
    Heap(#[from] log::OpenError),
    /// A new index cannot be made either.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// The volume's lock; given back when dropped, or when the process ends in any way.
#[derive(Debug)]
pub struct VolumeLock {
    file: File,
    path: PathBuf,
}

impl VolumeLock {
    /// Locks the volume in `folder`, which is made if need be, or says who has it.
    pub fn take(folder: &Path) -> Result<Self, VolumeError> {
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| VolumeError::Io { what, path, source }
        };
        std::fs::create_dir_all(folder).map_err(io("make", folder))?;
        let path = folder.join("lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path }),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // What cannot be read names nobody; the refusal stands.
                let _ = Read::take(&file, LOCK_TEXT).read_to_string(&mut holder);
                let holder = holder.trim().to_owned();
                Err(VolumeError::Locked { file: path, holder })
            }
            Err(TryLockError::Error(source)) => Err(io("lock", &path)(source)),
        }
    }

    /// Writes into the lock file who has the volume.
    pub fn name_holder(&mut self, incarnation: Incarnation) -> Result<(), VolumeError> {
        let text = format!("pid {}, incarnation {incarnation}\n", std::process::id());
        let written = self
            .file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .and_then(|_| self.file.write_all(text.as_bytes()));
        written.map_err(|source| VolumeError::Io {
            what: "write",
            path: self.path.clone(),
            source,
        })
    }
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

/// Opens heap and index; on any doubt about the index it is rebuilt. Blocks.
pub fn open(disk: Arc<dyn Disk>, options: Options, index: &Path) -> Result<Volume, VolumeError> {
    match replay(&disk, &options, index) {
        Ok(volume) => Ok(volume),
        Err(Stop::Doubt(reason)) => {
            tracing::warn!(%reason, "the index is rebuilt");
            remove_index(index)?;
            let mut volume = replay(&disk, &options, index).map_err(|stop| match stop {
                Stop::Heap(error) => VolumeError::Heap(error),
                Stop::Index(error) => VolumeError::Index(error),
                Stop::Doubt(reason) => VolumeError::Heap(log::OpenError::Visit {
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
    Heap(log::OpenError),
    Index(IndexError),
}

fn replay(disk: &Arc<dyn Disk>, options: &Options, folder: &Path) -> Result<Volume, Stop> {
    let fresh = !folder.exists();
    let unsure = |error: IndexError| match fresh {
        true => Stop::Index(error),
        false => Stop::Doubt(error.to_string()),
    };
    let index = Index::open(folder).map_err(unsure)?;
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
        log::OpenError::BadCheckpoint { .. } | log::OpenError::Visit { .. } if from.is_some() => {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_volume_names_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let mut lock = VolumeLock::take(folder.path()).unwrap();
        lock.name_holder(Incarnation(7)).unwrap();
        let error = VolumeLock::take(folder.path()).unwrap_err().to_string();
        let holder = format!("(pid {}, incarnation 7)", std::process::id());
        assert!(error.contains(&holder), "{error}");
        assert!(error.contains(folder.path().to_str().unwrap()), "{error}");
        drop(lock);
        assert!(VolumeLock::take(folder.path()).is_ok());
    }
}
