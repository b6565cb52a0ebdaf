//! A segment's file: its name, and the 64 octets it starts with.

use xxhash_rust::xxh3::xxh3_64;

use crate::format::{VERSION, u32_at, u64_at};

/// Octets of a segment's header; its layout is the same in every version.
pub(crate) const SIZE: usize = 64;

const MAGIC: [u8; 8] = *b"BUZONSEG";
const SUFFIX: &str = ".segment";

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) id: u64,
    /// Random; goes into every checksum, so that no mailed body imitates a frame.
    pub(crate) seed: u64,
    /// Seed of the segment before, 0 for the first.
    pub(crate) previous_seed: u64,
    /// The log it is part of.
    pub(crate) log: u64,
    /// Number of the first group in it.
    pub(crate) first_group: u64,
}

/// Why a file has no segment header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadHeader {
    #[error("the segment's header is cut short")]
    Short,
    #[error("the segment's header has a wrong checksum")]
    Sum,
    #[error("format version {0} is newer than this program")]
    Newer(u32),
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        let numbers = [
            self.id,
            self.seed,
            self.previous_seed,
            self.log,
            self.first_group,
        ];
        for (place, number) in bytes[16..56].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let sum = xxh3_64(&bytes[..56]);
        bytes[56..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, BadHeader> {
        if bytes.len() < SIZE {
            return Err(BadHeader::Short);
        }
        if bytes[..8] != MAGIC || xxh3_64(&bytes[..56]) != u64_at(bytes, 56) {
            return Err(BadHeader::Sum);
        }
        let version = u32_at(bytes, 8);
        if version > VERSION {
            return Err(BadHeader::Newer(version));
        }
        if version != VERSION || u32_at(bytes, 12) != 0 {
            return Err(BadHeader::Sum);
        }
        Ok(Self {
            id: u64_at(bytes, 16),
            seed: u64_at(bytes, 24),
            previous_seed: u64_at(bytes, 32),
            log: u64_at(bytes, 40),
            first_group: u64_at(bytes, 48),
        })
    }
}

/// The name of a segment's file.
pub(crate) fn name(id: u64) -> String {
    format!("{id:016x}{SUFFIX}")
}

/// The segment that a file's name is for; none for other files.
pub(crate) fn id(file: &str) -> Option<u64> {
    let id = u64::from_str_radix(file.strip_suffix(SUFFIX)?, 16).ok()?;
    (name(id) == file).then_some(id)
}

pub(crate) fn fuzz(data: &[u8]) {
    if let Ok(header) = SegmentHeader::decode(data) {
        assert_eq!(header.encode(), data[..SIZE]);
    }
    if let Some(id) = std::str::from_utf8(data).ok().and_then(id) {
        assert_eq!(name(id).as_bytes(), data);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: SegmentHeader = SegmentHeader {
        id: 2,
        seed: 3,
        previous_seed: 4,
        log: 5,
        first_group: 6,
    };

    #[test]
    fn decodes_what_it_encodes() {
        assert_eq!(SegmentHeader::decode(&HEADER.encode()), Ok(HEADER));
    }

    #[test]
    fn refuses_a_newer_version() {
        let mut bytes = HEADER.encode();
        bytes[8] = 2;
        assert_eq!(SegmentHeader::decode(&bytes), Err(BadHeader::Sum));
        let sum = xxh3_64(&bytes[..56]);
        bytes[56..].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes), Err(BadHeader::Newer(2)));
    }

    #[test]
    fn names_are_exact() {
        assert_eq!(id(&name(255)), Some(255));
        for other in ["ff.segment", "00000000000000FF.segment", "manifest", ""] {
            assert_eq!(id(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_seen(bit in 0_usize..SIZE * 8) {
            let mut bytes = HEADER.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(SegmentHeader::decode(&bytes).is_err());
        }

        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_names(name in "[0-9a-fA-F]{15,17}[.]segment") {
            fuzz(name.as_bytes());
        }
    }
}
