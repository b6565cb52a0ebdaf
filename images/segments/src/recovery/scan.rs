//! Reads one segment group by group and finds where what holds ends.

use std::io;

use bytes::Bytes;

use crate::disk::DiskFile;
use crate::format::frame::{
    ALIGN, BadFrame, FrameHeader, HEADER, MAGIC, SEAL, Seal, frame_size, payload_holds,
};
use crate::format::segment;
use crate::recovery::window::Window;

/// What the next group must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    /// Its number.
    pub(super) group: u64,
    /// Checksum of the header before it; none is known after a removed segment.
    pub(super) previous: Option<u64>,
}

/// One frame that holds.
pub(super) struct Frame {
    pub(super) offset: u64,
    pub(super) header: FrameHeader,
    /// Empty if it was not wanted.
    pub(super) payload: Bytes,
}

/// A bad frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) offset: u64,
    pub(super) reason: BadFrame,
}

/// How a segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// Where the groups that hold end.
    pub(super) offset: u64,
    /// What comes next there.
    pub(super) due: Due,
    /// Where the last group that holds starts, if there is one.
    pub(super) last_group: Option<u64>,
    pub(super) seal: Option<Seal>,
    /// A bad frame with nothing later behind it: a torn tail.
    pub(super) torn: Option<Bad>,
}

/// Why a scan stops.
#[derive(Debug)]
pub(super) enum ScanError<E> {
    Io(io::Error),
    /// A bad frame before something later.
    Corrupt {
        bad: Bad,
        /// Where a frame of a later group starts.
        later: u64,
    },
    /// Octets behind the frame that ends a segment.
    BehindSeal(u64),
    Visit(E),
}

impl<E> From<io::Error> for ScanError<E> {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Scans a segment. Frames from offset `keep` on come with their payloads; `visit` gets every
/// frame, a group's only when the whole group holds.
pub(super) fn scan<E>(
    file: &dyn DiskFile,
    seed: u64,
    first: Due,
    keep: u64,
    visit: &mut dyn FnMut(Frame) -> Result<(), E>,
) -> Result<End, ScanError<E>> {
    let mut window = Window::new(file)?;
    let mut end = End {
        offset: segment::SIZE as u64,
        due: first,
        last_group: None,
        seal: None,
        torn: None,
    };
    while end.offset < window.size() {
        if end.seal.is_some() {
            return Err(ScanError::BehindSeal(end.offset));
        }
        let group = match read_group(&mut window, seed, &end, keep)? {
            Ok(group) => group,
            Err(bad) => {
                return match find_later(&mut window, seed, end.offset, end.due.group)? {
                    Some(later) => Err(ScanError::Corrupt { bad, later }),
                    None => Ok(End {
                        torn: Some(bad),
                        ..end
                    }),
                };
            }
        };
        end = group.end;
        group
            .frames
            .into_iter()
            .try_for_each(&mut *visit)
            .map_err(ScanError::Visit)?;
    }
    Ok(end)
}

struct Group {
    frames: Vec<Frame>,
    end: End,
}

/// Reads the group that is due at the end reached so far.
fn read_group(
    window: &mut Window<'_>,
    seed: u64,
    start: &End,
    keep: u64,
) -> io::Result<Result<Group, Bad>> {
    let mut frames = Vec::new();
    let mut offset = start.offset;
    let mut previous = start.due.previous;
    let mut seal = None;
    loop {
        let index = frames.len() as u32;
        let due = Due {
            group: start.due.group,
            previous,
        };
        let (frame, sum) = match read_frame(window, seed, offset, due, index, offset >= keep)? {
            Ok(read) => read,
            Err(reason) => return Ok(Err(Bad { offset, reason })),
        };
        if frame.header.control && frame.header.kind == SEAL {
            match Seal::decode(&frame.payload) {
                Ok(read) => seal = Some(read),
                Err(reason) => return Ok(Err(Bad { offset, reason })),
            }
        }
        offset += frame.header.size();
        previous = Some(sum);
        let last = frame.header.last;
        frames.push(frame);
        if last {
            let due = Due {
                group: start.due.group + 1,
                previous,
            };
            let last_group = Some(start.offset);
            let torn = None;
            let end = End {
                offset,
                due,
                last_group,
                seal,
                torn,
            };
            return Ok(Ok(Group { frames, end }));
        }
    }
}

/// Reads and checks one frame; gives it and its header's checksum.
fn read_frame(
    window: &mut Window<'_>,
    seed: u64,
    offset: u64,
    due: Due,
    index: u32,
    keep: bool,
) -> io::Result<Result<(Frame, u64), BadFrame>> {
    let (header, sum) = match FrameHeader::decode(window.get(offset, HEADER as u64)?, seed, offset)
    {
        Ok(read) => read,
        Err(bad) => return Ok(Err(bad)),
    };
    if header.group != due.group || header.index != index {
        return Ok(Err(BadFrame::Group));
    }
    if due.previous.is_some_and(|sum| sum != header.previous) {
        return Ok(Err(BadFrame::Chain));
    }
    let length = header.length as usize;
    let start = offset + HEADER as u64;
    let padded = window.get(start, frame_size(length) - HEADER as u64)?;
    let Some((payload, padding)) = padded.split_at_checked(length) else {
        return Ok(Err(BadFrame::Short));
    };
    if (payload.len() + padding.len() + HEADER) as u64 != header.size() {
        return Ok(Err(BadFrame::Short));
    }
    if !payload_holds(&header, payload, seed) {
        return Ok(Err(BadFrame::PayloadSum));
    }
    if padding.iter().any(|octet| *octet != 0) {
        return Ok(Err(BadFrame::Padding));
    }
    // Copied, so that who keeps one record does not keep its neighbours in memory.
    let wanted = keep || header.control;
    let payload = if wanted {
        Bytes::copy_from_slice(payload)
    } else {
        Bytes::new()
    };
    let frame = Frame {
        offset,
        header,
        payload,
    };
    Ok(Ok((frame, sum)))
}

/// Looks from `offset` on for any frame of a group later than `group`. A frame's header proves
/// itself: its checksum covers the segment's seed and the frame's place.
fn find_later(
    window: &mut Window<'_>,
    seed: u64,
    offset: u64,
    group: u64,
) -> io::Result<Option<u64>> {
    let mut at = offset.next_multiple_of(ALIGN);
    while at + HEADER as u64 <= window.size() {
        let header = window.get(at, HEADER as u64)?;
        if header.starts_with(&MAGIC)
            && let Ok((header, _)) = FrameHeader::decode(header, seed, at)
            && header.group > group
        {
            return Ok(Some(at));
        }
        at += ALIGN;
    }
    Ok(None)
}

/// Whether any frame at all starts in the segment.
pub(super) fn has_frames(file: &dyn DiskFile, seed: u64) -> io::Result<bool> {
    let mut window = Window::new(file)?;
    Ok(find_later(&mut window, seed, segment::SIZE as u64, 0)?.is_some())
}

/// Reads the seal at the end of a segment, with what is due after it, without reading the rest.
pub(super) fn read_seal(file: &dyn DiskFile, seed: u64) -> io::Result<Option<(Seal, u64, Due)>> {
    let mut window = Window::new(file)?;
    let size = frame_size(Seal::SIZE);
    let Some(offset) = window.size().checked_sub(size) else {
        return Ok(None);
    };
    let bytes = window.get(offset, size)?;
    let Ok((header, sum)) = FrameHeader::decode(bytes, seed, offset) else {
        return Ok(None);
    };
    let payload = &bytes[HEADER..];
    let holds = header.control
        && header.kind == SEAL
        && header.length as usize == payload.len()
        && payload_holds(&header, payload, seed);
    let Some(seal) = Seal::decode(payload).ok().filter(|_| holds) else {
        return Ok(None);
    };
    let due = Due {
        group: header.group + 1,
        previous: Some(sum),
    };
    Ok(Some((seal, offset, due)))
}
