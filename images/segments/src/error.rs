//! What can go wrong, and whose fault it is.

use std::io;
use std::sync::Arc;

use crate::position::Position;

/// What a visitor of [`crate::Log::open`] may fail with.
pub type VisitError = Box<dyn std::error::Error + Send + Sync>;

/// Why a record was not taken, or a segment not removed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The queue is full: try again later.
    #[error("the log's queue is full")]
    Overloaded,
    /// The caller's record is above [`crate::MAX_PAYLOAD`].
    #[error("a record of {0} octets is larger than {max}", max = crate::MAX_PAYLOAD)]
    TooLarge(usize),
    /// A write or sync failed; the log takes nothing more until it is opened again.
    #[error("the log stopped: {during} failed: {reason}")]
    Failed {
        /// What was under way.
        during: &'static str,
        /// What the operating system said.
        reason: Arc<str>,
        /// What kind of failure that is.
        kind: io::ErrorKind,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// No segment has this id.
    #[error("the log has no segment {0}")]
    NoSuchSegment(u64),
    /// The segment is still being written.
    #[error("segment {0} is still being written")]
    NotSealed(u64),
    /// The removal could not be prepared; nothing changed.
    #[error("cannot record a removal: {0}")]
    Manifest(Arc<str>),
}

impl LogError {
    pub(crate) fn failed(during: &'static str, error: &io::Error) -> Self {
        Self::Failed {
            during,
            reason: error.to_string().into(),
            kind: error.kind(),
        }
    }

    /// Whether it stopped for want of room: what is durable can be trusted and read.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Failed { kind, .. } if kind_is_full(*kind))
    }
}

/// Whether the system had no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    kind_is_full(error.kind())
}

fn kind_is_full(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The segment was removed, or never was.
    #[error("the log has no segment {0}")]
    NoSuchSegment(u64),
    /// Nothing durable is there.
    #[error("position {0} is beyond the end of the log")]
    BeyondEnd(Position),
    /// The range asked for is not inside the record.
    #[error("the record at {at} has {length} octets, not {wanted}")]
    Range {
        /// The record.
        at: Position,
        /// Its payload's octets.
        length: usize,
        /// Where the range ends.
        wanted: u64,
    },
    /// The bytes on disk are not what was written.
    #[error("the log is damaged at {at}: {reason}")]
    Corrupt {
        /// Where.
        at: Position,
        /// How that was seen.
        reason: String,
    },
    /// The operating system failed.
    #[error("cannot read the log at {at}: {source}")]
    Io {
        /// Where.
        at: Position,
        /// What it said.
        source: io::Error,
    },
}

/// Why a log does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system failed.
    #[error("cannot {what} {file}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        file: String,
        /// What it said.
        source: io::Error,
    },
    /// Something acknowledged is damaged or missing. Nothing was changed.
    #[error("{file} is damaged at offset {offset}: {reason}")]
    Corrupt {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// How that was seen.
        reason: String,
    },
    /// A later release wrote it.
    #[error(
        "{file} has format version {found}, this program reads up to {supported}: \
         use the release that wrote it or a later one"
    )]
    Newer {
        /// The file.
        file: String,
        /// Its version.
        found: u32,
        /// The newest version read here.
        supported: u32,
    },
    /// The position to start from is not in this log.
    #[error("no replay from {from}: {reason}")]
    BadCheckpoint {
        /// The position given.
        from: Position,
        /// Where the log ends.
        end: Position,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The visitor refused a record.
    #[error("the record at {at} was refused: {source}")]
    Visit {
        /// The record.
        at: Position,
        /// What the visitor said.
        source: VisitError,
    },
    /// The log could not write what recovery asks for.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl OpenError {
    pub(crate) fn io(what: &'static str, file: &str) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::Io { what, file, source }
    }

    pub(crate) fn corrupt(file: &str, offset: u64, reason: impl Into<String>) -> Self {
        Self::Corrupt {
            file: file.to_owned(),
            offset,
            reason: reason.into(),
        }
    }
}
