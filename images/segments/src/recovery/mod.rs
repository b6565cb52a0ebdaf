//! Opening a log: what holds is kept, a torn tail is cut, anything else is reported.

mod extent;
mod folder;
mod scan;
mod walk;
mod window;

use std::io::IoSlice;

use crate::disk::{Disk, DiskFile};
use crate::error::{OpenError, is_full};
use crate::format::manifest::{self, Manifest, WriteFault};
use crate::format::random;
use crate::format::segment::{self, SegmentHeader};
use crate::log::Visit;
use crate::position::Position;
pub use crate::recovery::extent::Extent;
use crate::recovery::folder::Folder;
use crate::recovery::walk::{Walk, Walked};
use crate::segments::{Known, Tail, create_segment};
use crate::sim::SimDisk;

/// A log ready to be appended to.
pub(crate) struct Recovered {
    pub(crate) manifest: Manifest,
    pub(crate) sealed: Vec<Known>,
    pub(crate) tail: Tail,
}

/// The id of the log in the folder; none if there is no log yet.
pub(crate) fn log_id(disk: &dyn Disk) -> Result<Option<u64>, OpenError> {
    Ok(Folder::read(disk)?.manifest.map(|manifest| manifest.log))
}

/// Opens what is in the folder, or makes a new log there.
pub(crate) fn recover(
    disk: &dyn Disk,
    from: Option<Position>,
    visit: &mut Visit<'_>,
) -> Result<Recovered, OpenError> {
    let mut folder = Folder::read(disk)?;
    let Some(manifest) = folder.manifest.take() else {
        return create(disk, &folder, from);
    };
    folder.settle(disk, &manifest)?;
    let mut walk = Walk::new(disk, manifest.log, from, visit);
    let last = folder.ids.last().copied();
    for id in &folder.ids {
        walk.segment(*id, Some(*id) == last)?;
    }
    walk.check_end()?;
    walk.check_from()?;
    repair(disk, &manifest, &walk.segments, walk.unused)?;
    let mut segments = std::mem::take(&mut walk.segments);
    walk.finish()?;
    let none = || OpenError::corrupt(manifest::NAME, 0, "there is no segment");
    let tail = segments.pop().ok_or_else(none)?;
    let sealed = segments.iter().map(known).collect();
    let tail = Tail {
        header: tail.header,
        file: tail.file.ok_or_else(none)?,
        offset: tail.end.offset,
        group: tail.end.due.group,
        // Only a first group after removed segments lacks it; then any value will do.
        last_sum: tail.end.due.previous.unwrap_or(0),
    };
    Ok(Recovered {
        manifest,
        sealed,
        tail,
    })
}

fn create(
    disk: &dyn Disk,
    folder: &Folder,
    from: Option<Position>,
) -> Result<Recovered, OpenError> {
    folder.check_new(disk)?;
    if let Some(from) = from {
        let reason = "the log is new";
        let end = Position {
            segment: 0,
            offset: 0,
        };
        return Err(OpenError::BadCheckpoint { from, end, reason });
    }
    let name = segment::name(1);
    if folder.ids.contains(&1) {
        disk.remove(&name).map_err(OpenError::io("remove", &name))?;
    }
    let header = SegmentHeader {
        id: 1,
        seed: random(),
        previous_seed: 0,
        log: random(),
        first_group: 1,
    };
    let file = create_segment(disk, &header).map_err(OpenError::io("create", &name))?;
    let manifest = Manifest::new(header.log);
    write_manifest(disk, &manifest)?;
    Ok(Recovered {
        manifest,
        sealed: Vec::new(),
        tail: Tail::start(header, file, 0),
    })
}

/// Cuts the torn tail and makes durable again what a failed sync may have left in the kernel's
/// memory only: the last group, a header without groups, and every name.
fn repair(
    disk: &dyn Disk,
    manifest: &Manifest,
    segments: &[Walked],
    unused: Option<u64>,
) -> Result<(), OpenError> {
    let Some((tail, file)) = segments.last().and_then(with_file) else {
        return Ok(());
    };
    let name = segment::name(tail.header.id);
    let end = tail.end.offset;
    if let Some(bad) = tail.end.torn {
        let size = file.size().map_err(OpenError::io("measure", &name))?;
        tracing::warn!(
            file = name, from = end, octets = size - end, bad_frame = bad.offset,
            reason = %bad.reason, "cut a torn tail that was never acknowledged"
        );
    }
    // Also when nothing is seen there: an earlier opening may have cut, and its sync have failed.
    file.truncate(end).map_err(OpenError::io("cut", &name))?;
    if tail.end.last_group.is_none() {
        rewrite(file, &name, 0, segment::SIZE as u64)?;
        if let [.., before, _] = segments {
            rewrite_group(before)?;
        }
    }
    rewrite_group(tail)?;
    if let Some(id) = unused {
        let name = segment::name(id);
        disk.remove(&name).map_err(OpenError::io("remove", &name))?;
    }
    match write_manifest(disk, manifest) {
        // It is there as it should be; nothing that asks for another one can be written either.
        Err(OpenError::Io { source, .. }) if is_full(&source) => {
            tracing::warn!("the disk is full: the manifest is not written again");
            disk.sync_dir().map_err(OpenError::io("sync", "the folder"))
        }
        written => written,
    }
}

fn with_file(segment: &Walked) -> Option<(&Walked, &dyn DiskFile)> {
    Some((segment, segment.file.as_deref()?))
}

fn rewrite_group(segment: &Walked) -> Result<(), OpenError> {
    let Some((_, file)) = with_file(segment) else {
        return Ok(());
    };
    let name = segment::name(segment.header.id);
    let start = segment.end.last_group.unwrap_or(segment.end.offset);
    rewrite(file, &name, start, segment.end.offset)
}

/// Writes octets again where they are, and syncs.
fn rewrite(file: &dyn DiskFile, name: &str, start: u64, end: u64) -> Result<(), OpenError> {
    let mut bytes = vec![0; (end - start) as usize];
    let read = file
        .read_at(&mut bytes, start)
        .map_err(OpenError::io("read", name))?;
    if read < bytes.len() {
        return Err(OpenError::corrupt(name, start, "it became shorter"));
    }
    file.write_at(&mut [IoSlice::new(&bytes)], start)
        .map_err(OpenError::io("write", name))?;
    file.sync_all().map_err(OpenError::io("sync", name))
}

fn write_manifest(disk: &dyn Disk, manifest: &Manifest) -> Result<(), OpenError> {
    manifest.write(disk).map_err(|fault| match fault {
        WriteFault::Harmless(source) | WriteFault::Fatal(source) => {
            OpenError::io("write", manifest::NAME)(source)
        }
    })
}

fn known(segment: &Walked) -> Known {
    Known {
        id: segment.header.id,
        seed: segment.header.seed,
        bytes: segment.end.offset,
        sealed: true,
        file: segment.file.clone(),
    }
}

/// Opens logs whose segment ends in any octets, or is nothing but those.
pub(crate) fn fuzz(data: &[u8]) {
    let sim = SimDisk::new(0);
    let visit: &mut Visit<'_> = &mut |at, _| panic!("a record was read at {at}");
    let open = |visit: &mut Visit<'_>| recover(&*sim.disk(), None, visit);
    assert!(open(visit).is_ok());
    let name = segment::name(1);
    sim.tamper(&name, |octets| octets.extend_from_slice(data));
    assert!(open(visit).is_ok(), "a torn tail is cut");
    sim.tamper(&name, |octets| *octets = data.to_vec());
    assert!(open(visit).is_err(), "a lost header is damage");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            super::fuzz(&data);
        }
    }
}
