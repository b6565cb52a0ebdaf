//! The queue as it was at a place in the log, so that opening reads only what came after.
//!
//! Entries are taken a page at a time while the queue goes on changing, so a snapshot may know
//! more than the log up to its place. That does no harm: whatever changed since is in the log
//! behind that place, and applying an event again changes nothing. Should the power be cut before
//! it was on the disk, what is missing there was true nonetheless.
//!
//! The bodies before the place are not read when the spool opens; each is verified before it is
//! delivered. A snapshot that is damaged, or fits no longer, is put aside and the whole log read.

mod file;
mod format;

use std::io;
use std::sync::Arc;

use segments::{Disk, Position};

use crate::spool::queue::{Entry, EntryId, Event, Queue};

pub(super) use self::format::fuzz;

use self::file::{Reader, Writer};
use self::format::{Head, NotASnapshot, decode, encode_entry, encode_head};

/// The file in the log's folder.
const NAME: &str = "queue";
/// The file while it is written.
const NEXT: &str = "queue.next";

/// Entries looked at in one go.
const PAGE: usize = 256;

/// Writes a snapshot: everything before `at` must be in the pages. `page` gives so many entries
/// after one. Gives the octets written. Blocks.
pub(super) fn write(
    disk: &dyn Disk,
    at: Position,
    last: EntryId,
    page: impl Fn(EntryId, usize) -> Vec<Entry>,
) -> io::Result<u64> {
    remove_next(disk)?;
    let octets = write_next(disk, at, last, page).inspect_err(|_| {
        // It may be that the disk is full, so what there is of it must not stay.
        if let Err(error) = remove_next(disk) {
            tracing::warn!(%error, "a snapshot of the spool that was not finished stays");
        }
    })?;
    disk.rename(NEXT, NAME)?;
    disk.sync_dir()?;
    Ok(octets)
}

fn remove_next(disk: &dyn Disk) -> io::Result<()> {
    match disk.remove(NEXT) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn write_next(
    disk: &dyn Disk,
    at: Position,
    last: EntryId,
    page: impl Fn(EntryId, usize) -> Vec<Entry>,
) -> io::Result<u64> {
    let mut writer = Writer::new(disk.create(NEXT)?);
    writer.put(&encode_head(&Head { at, last }))?;
    let mut after = EntryId(0);
    loop {
        let entries = page(after, PAGE);
        let Some(end) = entries.last() else {
            break;
        };
        after = end.id;
        for entry in &entries {
            writer.put(&encode_entry(entry))?;
        }
    }
    writer.finish()
}

/// A snapshot that was read.
pub(super) struct Snapshot {
    pub(super) at: Position,
    pub(super) queue: Queue,
}

/// The snapshot, if there is one that can be used. Blocks.
pub(super) fn read(disk: &Arc<dyn Disk>) -> Option<Snapshot> {
    let file = match disk.open(NAME) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(%error, "the spool's snapshot cannot be read; reading the whole log");
            return None;
        }
    };
    match load(&mut Reader::new(file)) {
        Ok(snapshot) => Some(snapshot),
        Err(error) => {
            tracing::warn!(%error, "the spool's snapshot is of no use; reading the whole log");
            None
        }
    }
}

/// Removes a snapshot that does not fit the log, so that it never comes to fit by chance.
pub(super) fn discard(disk: &dyn Disk) {
    if let Err(error) = disk.remove(NAME) {
        tracing::warn!(%error, "the spool's snapshot cannot be removed");
    }
}

fn load(reader: &mut impl io::Read) -> Result<Snapshot, NotASnapshot> {
    let mut queue = Queue::default();
    let head = decode(reader, &mut |entry| queue.apply(Event::Accepted(entry)))?;
    queue.skip_to(head.last);
    Ok(Snapshot { at: head.at, queue })
}
