//! Walks over the segments in order, and decides by the rules of `FORMAT.md` what holds.

use std::sync::Arc;

use bytes::Bytes;

use crate::disk::{Disk, DiskFile};
use crate::error::{OpenError, VisitError};
use crate::format::frame::{HEADER, Seal};
use crate::format::segment::{self, SegmentHeader};
use crate::log::Visit;
use crate::position::Position;
use crate::record::Record;
use crate::recovery::folder;
use crate::recovery::scan::{Bad, Due, End, Frame, ScanError, read_seal, scan};

/// A segment that was walked over.
pub(super) struct Walked {
    pub(super) header: SegmentHeader,
    /// Of the last two only: there may be more segments than files may be open.
    pub(super) file: Option<Arc<dyn DiskFile>>,
    pub(super) end: End,
}

/// The walk so far.
pub(super) struct Walk<'a> {
    disk: &'a dyn Disk,
    log: u64,
    from: Option<Position>,
    from_found: bool,
    visit: &'a mut Visit<'a>,
    /// Records of the last group read, and its number. They are visited once a later group was
    /// read, or the group is durable again.
    held: Vec<(Position, Record)>,
    held_group: u64,
    /// Everything walked over, in order; only the last may lack its seal.
    pub(super) segments: Vec<Walked>,
    /// A last segment that was made and never used: recovery drops it.
    pub(super) unused: Option<u64>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        disk: &'a dyn Disk,
        log: u64,
        from: Option<Position>,
        visit: &'a mut Visit<'a>,
    ) -> Self {
        Self {
            disk,
            log,
            from,
            from_found: from.is_none(),
            visit,
            held: Vec::new(),
            held_group: 0,
            segments: Vec::new(),
            unused: None,
        }
    }

    /// Walks over the next segment; `last` if none is after it.
    pub(super) fn segment(&mut self, id: u64, last: bool) -> Result<(), OpenError> {
        let file = folder::open(self.disk, id)?;
        let header = folder::header(&*file, id)?;
        if let Some(before) = self.segments.last()
            && before.end.seal.is_none()
        {
            let name = segment::name(before.header.id);
            let torn = before.end.torn;
            let damaged = |reason: &str| Err(corrupt(&name, before.end.offset, torn, reason));
            if !last {
                return damaged("it has no end, and later segments follow");
            }
            // Made when all groups before were synced, just before the seal was written.
            let made_after = match header {
                Ok(header) if folder::used(&*file, id, header.seed)? => {
                    return damaged("it has no end, and the next segment is in use");
                }
                Ok(header) => before.end.due.group + 1 == header.first_group,
                Err(_) => torn.is_none() && size(&*file, id)? <= segment::SIZE as u64,
            };
            if !made_after {
                return damaged(
                    "it lacks groups that were synced before the next segment was made",
                );
            }
            self.unused = Some(id);
            return Ok(());
        }
        let header = header.map_err(|bad| folder::refuse(&segment::name(id), bad))?;
        let due = self.check_link(id, &header)?;
        let end = match self.quick(&header, &*file, last)? {
            Some(end) => end,
            None => self.scan(&header, &*file, due)?,
        };
        let file = Some(file);
        self.segments.push(Walked { header, file, end });
        if let [.., closed, _, _] = &mut self.segments[..] {
            closed.file = None;
        }
        Ok(())
    }

    /// Visits the last group, which is durable now.
    pub(super) fn finish(self) -> Result<(), OpenError> {
        let mut held = self.held.into_iter();
        held.try_for_each(|(at, record)| {
            (self.visit)(at, record).map_err(|source| OpenError::Visit { at, source })
        })
    }

    /// Checks that the segment follows the one before; gives what must come first in it.
    fn check_link(&self, id: u64, header: &SegmentHeader) -> Result<Due, OpenError> {
        let wrong = |reason| Err(OpenError::corrupt(&segment::name(id), 0, reason));
        if header.id != id || header.log != self.log {
            return wrong("it is another segment's or another log's");
        }
        let due = Due {
            group: header.first_group,
            previous: (id == 1).then_some(0),
        };
        let Some(before) = self.segments.last().filter(|s| s.header.id + 1 == id) else {
            return Ok(due);
        };
        let seal = Some(Seal {
            next: id,
            next_seed: header.seed,
        });
        if before.end.seal != seal
            || header.previous_seed != before.header.seed
            || header.first_group != before.end.due.group
        {
            return wrong("it does not follow the segment before it");
        }
        Ok(before.end.due)
    }

    /// A segment that the checkpoint leaves out needs only its end looked at.
    fn quick(
        &self,
        header: &SegmentHeader,
        file: &dyn DiskFile,
        last: bool,
    ) -> Result<Option<End>, OpenError> {
        if last || self.from.is_none_or(|from| from.segment <= header.id) {
            return Ok(None);
        }
        let name = segment::name(header.id);
        let seal = read_seal(file, header.seed).map_err(OpenError::io("read", &name))?;
        Ok(seal.map(|(seal, start, due)| End {
            offset: start + (HEADER + Seal::SIZE) as u64,
            due,
            last_group: Some(start),
            seal: Some(seal),
            torn: None,
        }))
    }

    fn scan(
        &mut self,
        header: &SegmentHeader,
        file: &dyn DiskFile,
        due: Due,
    ) -> Result<End, OpenError> {
        let from = self.from.unwrap_or(Position {
            segment: 0,
            offset: 0,
        });
        let at = |offset| Position {
            segment: header.id,
            offset,
        };
        let keep = match header.id.cmp(&from.segment) {
            std::cmp::Ordering::Less => u64::MAX,
            std::cmp::Ordering::Equal => from.offset,
            std::cmp::Ordering::Greater => 0,
        };
        let mut found = false;
        let Self {
            visit,
            held,
            held_group,
            ..
        } = self;
        let mut give = |frame: Frame| -> Result<(), (Position, VisitError)> {
            let here = at(frame.offset);
            found |= here == from;
            if frame.header.group != *held_group {
                *held_group = frame.header.group;
                held.drain(..)
                    .try_for_each(|(at, record)| visit(at, record).map_err(|error| (at, error)))?;
            }
            if !frame.header.control && here >= from {
                let parts: Vec<Bytes> = vec![frame.payload];
                let kind = frame.header.kind;
                held.push((here, Record { kind, parts }));
            }
            Ok(())
        };
        let end = scan(file, header.seed, due, keep, &mut give)
            .map_err(|error| scan_error(header.id, error))?;
        self.from_found |= found || at(end.offset) == from;
        Ok(end)
    }

    /// Refuses an end that promises another segment.
    pub(super) fn check_end(&self) -> Result<(), OpenError> {
        match self.segments.last() {
            Some(last) if last.end.seal.is_some() => Err(OpenError::corrupt(
                &segment::name(last.header.id),
                last.end.offset,
                "the next segment is missing, and no removal is recorded",
            )),
            _ => Ok(()),
        }
    }

    /// Where what holds ends.
    pub(super) fn end(&self) -> Position {
        let last = self.segments.last();
        Position {
            segment: last.map_or(0, |last| last.header.id),
            offset: last.map_or(0, |last| last.end.offset),
        }
    }

    /// Refuses a checkpoint that the walk did not meet.
    pub(super) fn check_from(&self) -> Result<(), OpenError> {
        let Some(from) = self.from.filter(|_| !self.from_found) else {
            return Ok(());
        };
        let end = self.end();
        let known = |s: &&Walked| s.header.id == from.segment;
        let reason = match self.segments.iter().find(known) {
            Some(segment) if from.offset < segment.end.offset => "no record starts there",
            Some(_) => "it is beyond the end of what is durable",
            None => "its segment is not there",
        };
        Err(OpenError::BadCheckpoint { from, end, reason })
    }
}

fn size(file: &dyn DiskFile, id: u64) -> Result<u64, OpenError> {
    file.size()
        .map_err(OpenError::io("measure", &segment::name(id)))
}

fn corrupt(name: &str, end: u64, torn: Option<Bad>, reason: &str) -> OpenError {
    match torn {
        Some(bad) => OpenError::corrupt(name, bad.offset, format!("{}; {reason}", bad.reason)),
        None => OpenError::corrupt(name, end, reason),
    }
}

fn scan_error(id: u64, error: ScanError<(Position, VisitError)>) -> OpenError {
    let name = segment::name(id);
    match error {
        ScanError::Io(source) => OpenError::io("read", &name)(source),
        ScanError::Corrupt { bad, later } => {
            let reason = format!("{}, and a later group is at {later}", bad.reason);
            OpenError::corrupt(&name, bad.offset, reason)
        }
        ScanError::BehindSeal(offset) => {
            OpenError::corrupt(&name, offset, "there are octets behind the segment's end")
        }
        ScanError::Visit((at, source)) => OpenError::Visit { at, source },
    }
}
