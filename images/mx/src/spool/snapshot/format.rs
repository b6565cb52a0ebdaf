//! A snapshot as octets. Pure; its form is described in `spool.proto`.

use std::io::{self, Read};

use prost::Message;
use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use segments::Position;

use crate::spool::queue::{BodyAt, Entry, EntryId};
use crate::spool::record::{self, RecordError, proto};

const MAGIC: [u8; 8] = *b"BUZONSPQ";
const VERSION: u32 = 1;

/// An entry with the most targets, each with the longest addresses, takes a fifth of it.
const MAX_MESSAGE: usize = 16 << 20;

/// What a snapshot begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Everything before it is in the snapshot.
    pub(super) at: Position,
    /// The highest number given so far.
    pub(super) last: EntryId,
}

/// Why octets are no snapshot.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotASnapshot {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it does not begin as a snapshot does")]
    Magic,
    #[error("its version is {0}")]
    Version(u32),
    #[error("it has a message of {0} octets")]
    TooLarge(usize),
    #[error("a message in it does not parse: {0}")]
    Parse(#[from] prost::DecodeError),
    #[error(transparent)]
    Entry(#[from] RecordError),
    #[error("its checksum is wrong")]
    Checksum,
}

/// The beginning of a snapshot.
pub(super) fn encode_head(head: &Head) -> Vec<u8> {
    let snapshot = proto::Snapshot {
        segment: head.at.segment,
        offset: head.at.offset,
        last_entry: head.last.0,
    };
    let mut octets = MAGIC.to_vec();
    octets.extend_from_slice(&VERSION.to_le_bytes());
    octets.extend_from_slice(&message(&snapshot));
    octets
}

/// One entry.
pub(super) fn encode_entry(entry: &Entry) -> Vec<u8> {
    message(&proto::Kept {
        accepted: Some(record::accepted_message(entry)),
        segment: entry.body.position.segment,
        offset: entry.body.position.offset,
        start: entry.body.start,
        length: entry.body.length,
    })
}

/// What follows the last entry, given the digest of all before it.
pub(super) fn encode_end(mut digest: Context) -> Vec<u8> {
    let mut octets = 0_u32.to_le_bytes().to_vec();
    digest.update(&octets);
    octets.extend_from_slice(digest.finish().as_ref());
    octets
}

/// The digest of a snapshot that begins.
pub(super) fn digest() -> Context {
    Context::new(&SHA256)
}

fn message(message: &impl Message) -> Vec<u8> {
    let mut octets = (message.encoded_len() as u32).to_le_bytes().to_vec();
    octets.extend_from_slice(&message.encode_to_vec());
    octets
}

/// Reads a snapshot. Entries are handed out before the checksum is known: with an error they are
/// worth nothing.
pub(super) fn decode(
    from: &mut impl Read,
    each: &mut impl FnMut(Entry),
) -> Result<Head, NotASnapshot> {
    let mut from = Digested {
        from,
        digest: digest(),
    };
    if from.octets::<8>()? != MAGIC {
        return Err(NotASnapshot::Magic);
    }
    let version = u32::from_le_bytes(from.octets()?);
    if version != VERSION {
        return Err(NotASnapshot::Version(version));
    }
    let snapshot = proto::Snapshot::decode(&from.message()?[..])?;
    loop {
        let octets = from.message()?;
        if octets.is_empty() {
            break;
        }
        each(kept(proto::Kept::decode(&octets[..])?)?);
    }
    let computed = from.digest.clone().finish();
    if from.octets::<SHA256_OUTPUT_LEN>()? != computed.as_ref() {
        return Err(NotASnapshot::Checksum);
    }
    let (segment, offset) = (snapshot.segment, snapshot.offset);
    Ok(Head {
        at: Position { segment, offset },
        last: EntryId(snapshot.last_entry),
    })
}

fn kept(kept: proto::Kept) -> Result<Entry, RecordError> {
    let (segment, offset) = (kept.segment, kept.offset);
    let body = BodyAt {
        position: Position { segment, offset },
        start: kept.start,
        length: kept.length,
    };
    record::entry(kept.accepted.unwrap_or_default(), body)
}

struct Digested<'a, R> {
    from: &'a mut R,
    digest: Context,
}

impl<R: Read> Digested<'_, R> {
    fn octets<const N: usize>(&mut self) -> Result<[u8; N], NotASnapshot> {
        let mut octets = [0; N];
        self.from.read_exact(&mut octets)?;
        self.digest.update(&octets);
        Ok(octets)
    }

    fn message(&mut self) -> Result<Vec<u8>, NotASnapshot> {
        let length = u32::from_le_bytes(self.octets()?) as usize;
        if length > MAX_MESSAGE {
            return Err(NotASnapshot::TooLarge(length));
        }
        let mut octets = vec![0; length];
        self.from.read_exact(&mut octets)?;
        self.digest.update(&octets);
        Ok(octets)
    }
}

/// Feeds any octets to the reader, as they are and as a snapshot whose checksum holds: what it
/// accepts must be written as it reads.
pub(in crate::spool) fn fuzz(data: &[u8]) {
    check(data);
    let mut whole = [&MAGIC[..], &VERSION.to_le_bytes(), data].concat();
    let mut digest = digest();
    digest.update(&whole);
    whole.extend_from_slice(&encode_end(digest));
    check(&whole);
}

fn check(mut data: &[u8]) {
    let read = |from: &mut &[u8]| {
        let mut entries = Vec::new();
        let head = decode(from, &mut |entry| entries.push(entry)).ok()?;
        Some((head, entries))
    };
    let Some((head, entries)) = read(&mut data) else {
        return;
    };
    let mut written = encode_head(&head);
    written.extend(entries.iter().flat_map(encode_entry));
    let mut digest = digest();
    digest.update(&written);
    written.extend_from_slice(&encode_end(digest));
    assert_eq!(read(&mut &written[..]), Some((head, entries)));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(id: u64) -> proto::Kept {
        proto::Kept {
            accepted: Some(proto::Accepted {
                entry: id,
                delivery_id: vec![7; 16].into(),
                ..proto::Accepted::default()
            }),
            length: id,
            ..proto::Kept::default()
        }
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_snapshots(segment: u64, ids: [u64; 3], cut in 0_usize..80, flip in 0_usize..400) {
            let snapshot = proto::Snapshot { segment, offset: 64, last_entry: 9 };
            let mut data = message(&snapshot);
            data.extend(ids.iter().flat_map(|id| message(&sample(*id))));
            fuzz(&data);
            fuzz(&data[..data.len() - cut.min(data.len())]);
            let bit = flip % (data.len() * 8);
            data[bit / 8] ^= 1 << (bit % 8);
            fuzz(&data);
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let at = Position {
            segment: 3,
            offset: 64,
        };
        let last = EntryId(5);
        let entry = kept(sample(4)).unwrap();
        let mut octets = encode_head(&Head { at, last });
        octets.extend(encode_entry(&entry));
        let mut digest = digest();
        digest.update(&octets);
        octets.extend(encode_end(digest));
        let read = |octets: &[u8]| decode(&mut &octets[..], &mut |_| {}).ok();
        assert_eq!(read(&octets), Some(Head { at, last }));
        for bit in 0..octets.len() * 8 {
            octets[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&octets), None, "bit {bit}");
            octets[bit / 8] ^= 1 << (bit % 8);
        }
        for end in 0..octets.len() {
            assert_eq!(read(&octets[..end]), None, "cut at {end}");
        }
    }
}
