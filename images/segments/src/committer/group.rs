//! Turns records into one group of frames, without copying payloads.

use std::io::{self, IoSlice};

use crate::format::frame::{FrameHeader, HEADER, frame_size, padding, payload_sum};
use crate::record::Record;
use crate::segments::Tail;

/// A record to be framed, the user's or the log's own.
pub(crate) struct Framed<'a> {
    pub(crate) record: &'a Record,
    pub(crate) control: bool,
}

/// Octets of the group's frames.
pub(crate) fn group_size(group: &[Framed<'_>]) -> u64 {
    group
        .iter()
        .map(|framed| frame_size(framed.record.len()))
        .sum()
}

/// Writes a group at the tail and moves the tail behind it; gives each record's offset. Nothing
/// is synced.
pub(crate) fn write_group(tail: &mut Tail, group: &[Framed<'_>]) -> io::Result<Vec<u64>> {
    let seed = tail.header.seed;
    let start = tail.offset;
    let mut offsets = Vec::with_capacity(group.len());
    // Headers and padding of all frames; `cuts` has where payloads go in between.
    let mut glue = Vec::with_capacity(group.len() * (HEADER + 8));
    let mut cuts = Vec::with_capacity(group.len());
    for (index, framed) in group.iter().enumerate() {
        let length = framed.record.len();
        let header = FrameHeader {
            kind: framed.record.kind,
            control: framed.control,
            last: index + 1 == group.len(),
            length: length as u32,
            index: index as u32,
            group: tail.group,
            previous: tail.last_sum,
            payload_sum: payload_sum(&framed.record.parts, seed),
        };
        let (bytes, sum) = header.encode(seed, tail.offset);
        offsets.push(tail.offset);
        glue.extend_from_slice(&bytes);
        cuts.push(glue.len());
        glue.resize(glue.len() + padding(length), 0);
        tail.offset += header.size();
        tail.last_sum = sum;
    }
    tail.group += 1;
    let mut slices = interleave(&glue, &cuts, group);
    tail.file.write_at(&mut slices, start)?;
    Ok(offsets)
}

fn interleave<'a>(glue: &'a [u8], cuts: &[usize], group: &'a [Framed<'_>]) -> Vec<IoSlice<'a>> {
    let mut slices = Vec::with_capacity(group.len() * 2 + 1);
    let mut done = 0;
    for (cut, framed) in cuts.iter().zip(group) {
        slices.push(IoSlice::new(&glue[done..*cut]));
        slices.extend(framed.record.parts.iter().map(|part| IoSlice::new(part)));
        done = *cut;
    }
    slices.push(IoSlice::new(&glue[done..]));
    slices
}
