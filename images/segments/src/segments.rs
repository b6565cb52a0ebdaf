//! The segments that an open log knows, and the one it writes to.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::format::segment::{self, SegmentHeader};
use crate::position::{Position, Tip};

/// Most sealed segments whose files stay open: well below the usual limit of 1,024 files.
const OPEN_FILES: usize = 256;

/// One segment, as users see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its id.
    pub id: u64,
    /// Octets of its file that are durable.
    pub bytes: u64,
    /// Whether nothing more will be written to it.
    pub sealed: bool,
}

/// One segment, as the log knows it.
pub(crate) struct Known {
    pub(crate) id: u64,
    pub(crate) seed: u64,
    pub(crate) bytes: u64,
    pub(crate) sealed: bool,
    /// Closed when too many are open.
    pub(crate) file: Option<Arc<dyn DiskFile>>,
}

/// All segments, by id. The last is the one written to.
pub(crate) struct Segments {
    known: BTreeMap<u64, Known>,
    open: usize,
    /// Checksum of the last durable header.
    sum: u64,
}

impl Segments {
    pub(crate) fn new(sealed: Vec<Known>, tail: &Tail) -> Self {
        let mut segments = Self {
            known: BTreeMap::new(),
            open: 0,
            sum: tail.last_sum,
        };
        for known in sealed {
            segments.insert(known);
        }
        segments.insert(tail.known());
        segments
    }

    /// Adds a segment with its open file.
    pub(crate) fn insert(&mut self, known: Known) {
        self.make_room();
        self.open += usize::from(known.file.is_some());
        self.known.insert(known.id, known);
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Known> {
        self.known.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Known> {
        self.known.get_mut(&id)
    }

    pub(crate) fn remove(&mut self, id: u64) {
        if let Some(known) = self.known.remove(&id) {
            self.open -= usize::from(known.file.is_some());
        }
    }

    /// All that is in the tail counts as durable.
    pub(crate) fn synced(&mut self, tail: &Tail) {
        if let Some(known) = self.get_mut(tail.header.id) {
            known.bytes = tail.offset;
        }
        self.sum = tail.last_sum;
    }

    /// The end of what is durable, and the checksum before it.
    pub(crate) fn tip(&self) -> Tip {
        Tip {
            at: self.end(),
            sum: self.sum,
        }
    }

    /// The end of what is durable.
    pub(crate) fn end(&self) -> Position {
        let last = self.known.last_key_value();
        Position {
            segment: last.map_or(0, |(id, _)| *id),
            offset: last.map_or(0, |(_, known)| known.bytes),
        }
    }

    pub(crate) fn info(&self) -> Vec<SegmentInfo> {
        let info = |known: &Known| SegmentInfo {
            id: known.id,
            bytes: known.bytes,
            sealed: known.sealed,
        };
        self.known.values().map(info).collect()
    }

    /// Opens the file of a segment that was closed to make room for others.
    pub(crate) fn reopen(
        &mut self,
        disk: &dyn Disk,
        id: u64,
    ) -> io::Result<Option<Arc<dyn DiskFile>>> {
        self.make_room();
        let Some(known) = self.known.get_mut(&id) else {
            return Ok(None);
        };
        if let Some(file) = &known.file {
            return Ok(Some(Arc::clone(file)));
        }
        let file: Arc<dyn DiskFile> = disk.open(&segment::name(id))?.into();
        known.file = Some(Arc::clone(&file));
        self.open += 1;
        Ok(Some(file))
    }

    /// Closes the oldest open file when as many are open as may be.
    fn make_room(&mut self) {
        if self.open < OPEN_FILES {
            return;
        }
        if let Some(known) = self.known.values_mut().find(|known| known.file.is_some()) {
            known.file = None;
            self.open -= 1;
        }
    }
}

/// The end of the log: where the next group goes.
pub(crate) struct Tail {
    pub(crate) header: SegmentHeader,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) offset: u64,
    /// Number of the next group.
    pub(crate) group: u64,
    /// Checksum of the last header before it.
    pub(crate) last_sum: u64,
}

impl Tail {
    /// The start of a new segment.
    pub(crate) fn start(header: SegmentHeader, file: Arc<dyn DiskFile>, last_sum: u64) -> Self {
        Self {
            group: header.first_group,
            header,
            file,
            offset: segment::SIZE as u64,
            last_sum,
        }
    }

    /// Whether no group is in the segment.
    pub(crate) fn is_empty(&self) -> bool {
        self.offset == segment::SIZE as u64
    }

    pub(crate) fn known(&self) -> Known {
        Known {
            id: self.header.id,
            seed: self.header.seed,
            bytes: self.offset,
            sealed: false,
            file: Some(Arc::clone(&self.file)),
        }
    }
}

/// Makes a segment's file with its header; both are durable when this returns.
pub(crate) fn create_segment(
    disk: &dyn Disk,
    header: &SegmentHeader,
) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.create(&segment::name(header.id))?;
    file.write_at(&mut [IoSlice::new(&header.encode())], 0)?;
    file.sync_all()?;
    disk.sync_dir()?;
    Ok(file.into())
}
