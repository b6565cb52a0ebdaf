//! How far the thread that opens a volume is; whoever tells of it looks on.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use segments::{Extent, Position};
use wire::rpc::{self, opening::How};

use super::estimate::Recovery;

/// Cheap to clone; all clones are of one opening.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<Option<Scan>>>);

/// A heap that is being read.
#[derive(Debug)]
struct Scan {
    extent: Extent,
    read: u64,
    began: Instant,
}

/// How the opening of a volume goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// It opens; nobody can say yet how long that takes.
    Opens,
    /// Its heap is read.
    Recovers(Recovery),
}

impl Progress {
    /// The heap is read from here on, perhaps for a second time.
    pub(crate) fn begins(&self, extent: Extent) {
        *self.0.lock() = Some(Scan {
            extent,
            read: 0,
            began: Instant::now(),
        });
    }

    /// The heap is read up to there.
    pub(crate) fn reached(&self, at: Position) {
        if let Some(scan) = &mut *self.0.lock() {
            scan.read = scan.extent.before(at);
        }
    }

    /// How it goes now.
    pub fn now(&self) -> Opening {
        match &*self.0.lock() {
            Some(scan) if scan.extent.octets() > 0 => Opening::Recovers(Recovery::of(
                scan.read,
                scan.extent.octets(),
                scan.began.elapsed(),
            )),
            Some(_) | None => Opening::Opens,
        }
    }
}

impl Opening {
    /// Of what is to be read, 0 to 100.
    pub(super) fn percent(self) -> u32 {
        match self {
            Self::Opens => 0,
            Self::Recovers(recovery) => recovery.percent,
        }
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opens => f.write_str("the volume opens"),
            Self::Recovers(recovery) => write!(f, "the volume recovers: {recovery}"),
        }
    }
}

impl From<Opening> for rpc::Opening {
    fn from(opening: Opening) -> Self {
        let how = match opening {
            Opening::Opens => How::Opens(rpc::Opens {}),
            Opening::Recovers(recovery) => How::Recovers(rpc::Recovers {
                percent: recovery.percent,
                minutes_left: recovery.minutes_left,
            }),
        };
        Self { how: Some(how) }
    }
}
