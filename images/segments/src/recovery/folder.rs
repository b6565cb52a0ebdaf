//! What lies in the log's folder.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::error::OpenError;
use crate::format::VERSION;
use crate::format::manifest::{self, Manifest};
use crate::format::segment::{self, BadHeader, SegmentHeader};
use crate::recovery::scan::has_frames;

/// The log's files.
pub(super) struct Folder {
    /// None in a folder where no log was made yet.
    pub(super) manifest: Option<Manifest>,
    /// Segments that are there.
    pub(super) ids: BTreeSet<u64>,
}

impl Folder {
    pub(super) fn read(disk: &dyn Disk) -> Result<Self, OpenError> {
        let names = disk.list().map_err(OpenError::io("list", "the folder"))?;
        let ids = names.iter().filter_map(|name| segment::id(name)).collect();
        let manifest = match names.iter().any(|name| name == manifest::NAME) {
            true => Some(read_manifest(disk)?),
            false => None,
        };
        Ok(Self { manifest, ids })
    }

    /// Refuses a folder without manifest that holds more than the beginning of a first segment:
    /// the manifest is written before the first record.
    pub(super) fn check_new(&self, disk: &dyn Disk) -> Result<(), OpenError> {
        let lost = |reason| Err(OpenError::corrupt(manifest::NAME, 0, reason));
        let Some(last) = self.ids.last() else {
            return Ok(());
        };
        if *last != 1 {
            return lost("it is missing, and there are segments");
        }
        let file = open(disk, *last)?;
        let name = segment::name(*last);
        let size = file.size().map_err(OpenError::io("measure", &name))?;
        if size > segment::SIZE as u64 {
            return lost("it is missing, and a segment holds records");
        }
        Ok(())
    }

    /// Unlinks again what was removed, and refuses segments missing for no recorded reason.
    pub(super) fn settle(&mut self, disk: &dyn Disk, known: &Manifest) -> Result<(), OpenError> {
        let present = std::mem::take(&mut self.ids);
        let (removed, kept) = present.into_iter().partition(|id| known.is_removed(*id));
        self.ids = kept;
        let removed: BTreeSet<u64> = removed;
        for id in removed {
            let name = segment::name(id);
            disk.remove(&name).map_err(OpenError::io("remove", &name))?;
        }
        let missing = |id: u64| {
            let reason = "the file is missing, and no removal is recorded";
            Err(OpenError::corrupt(&segment::name(id), 0, reason))
        };
        let Some(last) = self.ids.last().copied() else {
            return missing(1);
        };
        let mut due = 1;
        for id in &self.ids {
            // A gap that is removed whole costs one step per segment that once was.
            if let Some(gap) = (due..*id).find(|gap| !known.is_removed(*gap)) {
                return missing(gap);
            }
            due = id + 1;
        }
        if known.is_removed(last + 1) {
            return missing(last + 1);
        }
        Ok(())
    }
}

fn read_manifest(disk: &dyn Disk) -> Result<Manifest, OpenError> {
    let name = manifest::NAME;
    let file = disk.open(name).map_err(OpenError::io("open", name))?;
    let size = file.size().map_err(OpenError::io("measure", name))?;
    if size > manifest::MAX_SIZE {
        return Err(OpenError::corrupt(name, 0, "it is too large"));
    }
    let mut bytes = vec![0; size as usize];
    let read = file
        .read_at(&mut bytes, 0)
        .map_err(OpenError::io("read", name))?;
    Manifest::decode(&bytes[..read]).map_err(|bad| refuse(name, bad))
}

/// Opens a segment's file.
pub(super) fn open(disk: &dyn Disk, id: u64) -> Result<Arc<dyn DiskFile>, OpenError> {
    let name = segment::name(id);
    let file = disk.open(&name).map_err(OpenError::io("open", &name))?;
    Ok(file.into())
}

/// Reads a segment's header; the inner error is one that a crash may have left.
pub(super) fn header(
    file: &dyn DiskFile,
    id: u64,
) -> Result<Result<SegmentHeader, BadHeader>, OpenError> {
    let name = segment::name(id);
    let mut bytes = [0; segment::SIZE];
    let read = file
        .read_at(&mut bytes, 0)
        .map_err(OpenError::io("read", &name))?;
    match SegmentHeader::decode(&bytes[..read]) {
        Err(bad @ BadHeader::Newer(_)) => Err(refuse(&name, bad)),
        answer => Ok(answer),
    }
}

/// Whether a segment with this seed has any frame.
pub(super) fn used(file: &dyn DiskFile, id: u64, seed: u64) -> Result<bool, OpenError> {
    has_frames(file, seed).map_err(OpenError::io("read", &segment::name(id)))
}

/// The error for a header that cannot be.
pub(super) fn refuse(file: &str, bad: BadHeader) -> OpenError {
    match bad {
        BadHeader::Newer(found) => OpenError::Newer {
            file: file.to_owned(),
            found,
            supported: VERSION,
        },
        other => OpenError::corrupt(file, 0, other.to_string()),
    }
}
