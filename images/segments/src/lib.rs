//! An append-only log of checksummed records: the shard's heap, the spool and the embedded
//! directory are built on it.
//!
//! Operations that wait together share one write and one `fdatasync`. `FORMAT.md` beside this
//! crate has the bytes on disk and the rules of recovery. Everything goes through the file layer
//! [`Disk`], of which [`RealDisk`] is a folder and [`sim::SimDisk`] a disk whose power can fail.

mod committer;
mod disk;
mod error;
mod format;
mod log;
mod options;
mod position;
mod reader;
mod record;
mod recovery;
mod segments;
pub mod sim;
mod ticket;

pub use crate::disk::{Disk, DiskFile, RealDisk, Space, make_folder};
pub use crate::error::{LogError, OpenError, ReadError, VisitError};
pub use crate::log::{Counters, Log, Stats, Visit};
pub use crate::options::Options;
pub use crate::position::{Position, Tip};
pub use crate::record::{MAX_PAYLOAD, Record};
pub use crate::recovery::Extent;
pub use crate::segments::SegmentInfo;
pub use crate::ticket::Ticket;

/// Feeds any octets to every parser of this crate: segment headers, frames, manifests, segments.
pub fn fuzz(data: &[u8]) {
    format::fuzz(data);
    recovery::fuzz(data);
}
