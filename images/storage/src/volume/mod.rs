//! The shard's volume: its lock, its heap, and the index that follows from the heap.
//!
//! `lock` names who has the volume; `heap/` holds the log; `index/` can be built again from it;
//! `reserve` keeps room back for a start on a full volume.
//! What goes wrong with them is of three classes:
//!
//! | what | what is done |
//! |---|---|
//! | it may pass: no room, no file descriptor, a read or a right that the system refuses | the start is refused; nothing is deleted |
//! | the index is proven damaged, or another heap's | it is set aside as `index.dead`, and rebuilt; deleted after that |
//! | the heap is proven to have lost what was acknowledged: the index knows of more | the start is refused until an administrator goes on without it |

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use segments::{Disk, Log, Options, Position};

use crate::index::IndexError;
use crate::index::writer::Writer;
use crate::opening::Progress;
use crate::shard::Tally;

mod beside;
pub(crate) mod lock;
mod replay;
mod reserve;

use self::beside::Beside;
pub use self::beside::Doubt;
pub use self::lock::{OpenHeap, VolumeLock, heap};
use self::replay::{Stop, replay};
use self::reserve::Reserve;

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
    Heap(segments::OpenError),
    /// The heap lacks what was acknowledged; nothing was changed.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The index cannot be used now; it was not touched.
    #[error(
        "{0}; nothing was deleted: make room, or end what failed, and start again \
         (`buzonera-storage rebuild-index` builds it anew)"
    )]
    Index(#[from] IndexError),
    /// A new index is damaged too.
    #[error("the index was rebuilt and is damaged again: {0}")]
    Rebuild(String),
    /// No index follows from the heap.
    #[error(
        "no index can be built: the heap's record at {at} does not follow from those before it: \
         {reason}"
    )]
    Contradiction {
        /// The record.
        at: Position,
        /// How.
        reason: String,
    },
}

/// The heap has lost acknowledged records: somebody knows of more than it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the heap has lost acknowledged records: it has {end} (segment:offset) where the index knows of \
     a record at {known}{much}: bring the right volume back, or go on without them \
     (buzonera shard replace-volume)", much = much(*known, *end)
)]
pub struct Lost {
    /// The last record that the index knows.
    pub known: Position,
    /// Where the heap ends, or has another record.
    pub end: Position,
}

fn much(known: Position, end: Position) -> String {
    match known.segment.checked_sub(end.segment) {
        Some(0) if known.offset >= end.offset => {
            format!(", at least {} octets later", known.offset - end.offset)
        }
        Some(segments @ 1..) => format!(", {segments} segments later"),
        _ => String::new(),
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
    /// What the index holds.
    pub(crate) tally: Tally,
    /// How the next start is told that the index is damaged.
    pub(crate) doubt: Doubt,
}

/// Opens heap and index; an index that is proven damaged is rebuilt. The index keeps `lock`, as the
/// disk of [`heap`] does. `progress` says how far it is. Blocks.
pub fn open(
    disk: Arc<dyn Disk>,
    options: Options,
    index: &Path,
    lock: Option<&VolumeLock>,
    progress: &Progress,
) -> Result<Volume, VolumeError> {
    open_as(disk, options, index, lock, progress, How::AsItIs)
}

/// Opens heap and index, which is rebuilt in any case, unless it proves that the heap has lost
/// something. Blocks.
pub fn rebuild(
    disk: Arc<dyn Disk>,
    options: Options,
    index: &Path,
    lock: Option<&VolumeLock>,
    progress: &Progress,
) -> Result<Volume, VolumeError> {
    open_as(disk, options, index, lock, progress, How::Anew)
}

/// Opens a heap that has lost acknowledged records, as an administrator said: the index follows from
/// what is left. Blocks.
pub fn open_despite(
    disk: Arc<dyn Disk>,
    options: Options,
    index: &Path,
    lock: Option<&VolumeLock>,
    progress: &Progress,
) -> Result<Volume, VolumeError> {
    open_as(disk, options, index, lock, progress, How::Despite)
}

/// What is wanted of the index.
enum How {
    /// As it is, if it is whole.
    AsItIs,
    /// Built anew, unless it is the witness of a loss.
    Anew,
    /// Built anew, whatever it knows.
    Despite,
}

fn open_as(
    disk: Arc<dyn Disk>,
    options: Options,
    index: &Path,
    lock: Option<&VolumeLock>,
    progress: &Progress,
    how: How,
) -> Result<Volume, VolumeError> {
    Reserve::beside(index).settle();
    let beside = Beside::of(index);
    let options = Options {
        quiet: true,
        ..options
    };
    let attempt = || replay(&disk, &options, &beside, lock, progress);
    let first = match (how, beside.doubted()?) {
        (How::Despite, _) => Err(Stop::Damaged("the volume was replaced".to_owned())),
        (How::AsItIs | How::Anew, Some(reason)) => Err(Stop::Damaged(reason)),
        (How::AsItIs, None) => attempt(),
        (How::Anew, None) => match attempt() {
            Ok(_whole) => Err(Stop::Damaged("somebody asked for that".to_owned())),
            stopped => stopped,
        },
    };
    let volume = match first {
        Ok(volume) => volume,
        Err(stop) => {
            let reason = reason_to_rebuild(stop)?;
            tracing::warn!(%reason, "the index is rebuilt");
            beside.set_aside()?;
            let rebuilt = Some(reason);
            let volume = attempt().map_err(refused)?;
            Volume { rebuilt, ..volume }
        }
    };
    if let Err(error) = beside.remove_dead() {
        tracing::warn!(%error, "the index that was set aside is removed at the next start");
    }
    Ok(volume)
}

/// What may be the index's fault, and its only.
fn reason_to_rebuild(stop: Stop) -> Result<String, VolumeError> {
    match stop {
        Stop::Damaged(reason) => Ok(reason),
        Stop::Refused(at, reason) => Ok(format!("it does not take the record at {at}: {reason}")),
        stop @ (Stop::Lost(_) | Stop::Heap(_) | Stop::Passing(_)) => Err(refused(stop)),
    }
}

fn refused(stop: Stop) -> VolumeError {
    match stop {
        Stop::Lost(lost) => VolumeError::Lost(lost),
        Stop::Heap(error) => VolumeError::Heap(error),
        Stop::Passing(error) => VolumeError::Index(error),
        Stop::Refused(at, reason) => VolumeError::Contradiction { at, reason },
        // A new index is damaged at once: what it is made on does not keep what is written.
        Stop::Damaged(reason) => VolumeError::Rebuild(reason),
    }
}
