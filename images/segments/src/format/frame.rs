//! A frame: 48 octets of header, the payload, zeros up to a multiple of 8.

use bytes::Bytes;
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use crate::format::{u32_at, u64_at};
use crate::record::MAX_PAYLOAD;

/// Octets of a frame's header.
pub(crate) const HEADER: usize = 48;

/// Frames start at multiples of this.
pub(crate) const ALIGN: u64 = 8;

/// What every frame starts with.
pub(crate) const MAGIC: [u8; 4] = *b"plmf";

/// The last frame of its group.
const LAST: u8 = 1;
/// The log's own frame, not a record.
const CONTROL: u8 = 2;

/// A control frame without payload, that proves the group before it was synced.
pub(crate) const MARK: u8 = 1;
/// A control frame that ends a segment; its payload is a [`Seal`].
pub(crate) const SEAL: u8 = 2;

/// Why octets are not the frame that should be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadFrame {
    #[error("the file ends inside a frame")]
    Short,
    #[error("no frame starts here")]
    Magic,
    #[error("a frame's header has a wrong checksum")]
    HeaderSum,
    #[error("a frame's header has impossible values")]
    Header,
    #[error("a frame's payload has a wrong checksum")]
    PayloadSum,
    #[error("a frame is followed by other octets than its padding")]
    Padding,
    #[error("a frame does not follow the one before it")]
    Chain,
    #[error("a frame is of another group than the one due")]
    Group,
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) kind: u8,
    /// Whether the log wrote it for itself.
    pub(crate) control: bool,
    /// Whether it ends its group.
    pub(crate) last: bool,
    /// Octets of the payload.
    pub(crate) length: u32,
    /// Place in its group, from 0.
    pub(crate) index: u32,
    /// Number of its group; each is one above the group before.
    pub(crate) group: u64,
    /// Checksum of the header before this one.
    pub(crate) previous: u64,
    pub(crate) payload_sum: u64,
}

impl FrameHeader {
    /// The header's octets for a frame at `offset` of the segment with `seed`, and its checksum.
    pub(crate) fn encode(&self, seed: u64, offset: u64) -> ([u8; HEADER], u64) {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = self.kind;
        bytes[5] = u8::from(self.last) * LAST + u8::from(self.control) * CONTROL;
        bytes[8..12].copy_from_slice(&self.length.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.index.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.group.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.previous.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.payload_sum.to_le_bytes());
        let sum = header_sum(&bytes, seed, offset);
        bytes[40..].copy_from_slice(&sum.to_le_bytes());
        (bytes, sum)
    }

    /// Reads the header of a frame at `offset` of the segment with `seed`, and its checksum.
    /// Whatever passes was written there, in this segment.
    pub(crate) fn decode(bytes: &[u8], seed: u64, offset: u64) -> Result<(Self, u64), BadFrame> {
        if bytes.len() < HEADER {
            return Err(BadFrame::Short);
        }
        if bytes[..4] != MAGIC {
            return Err(BadFrame::Magic);
        }
        let sum = u64_at(bytes, 40);
        if header_sum(bytes, seed, offset) != sum {
            return Err(BadFrame::HeaderSum);
        }
        let flags = bytes[5];
        let header = Self {
            kind: bytes[4],
            control: flags & CONTROL != 0,
            last: flags & LAST != 0,
            length: u32_at(bytes, 8),
            index: u32_at(bytes, 12),
            group: u64_at(bytes, 16),
            previous: u64_at(bytes, 24),
            payload_sum: u64_at(bytes, 32),
        };
        let known = flags & !(LAST | CONTROL) == 0 && bytes[6..8] == [0, 0];
        if !known || header.length as usize > MAX_PAYLOAD {
            return Err(BadFrame::Header);
        }
        Ok((header, sum))
    }

    /// Octets of the whole frame.
    pub(crate) fn size(&self) -> u64 {
        frame_size(self.length as usize)
    }
}

/// The offset is part of what is summed, so that a frame copied elsewhere is none.
fn header_sum(bytes: &[u8], seed: u64, offset: u64) -> u64 {
    let mut summed = [0; HEADER];
    summed[..40].copy_from_slice(&bytes[..40]);
    summed[40..].copy_from_slice(&offset.to_le_bytes());
    xxh3_64_with_seed(&summed, seed)
}

/// Checksum of a payload in pieces.
pub(crate) fn payload_sum(parts: &[Bytes], seed: u64) -> u64 {
    if let [whole] = parts {
        return xxh3_64_with_seed(whole, seed);
    }
    let mut sum = PayloadSum::new(seed);
    parts.iter().for_each(|part| sum.add(part));
    sum.0.digest()
}

/// A payload's checksum under way.
pub(crate) struct PayloadSum(Xxh3);

impl PayloadSum {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xxh3::with_seed(seed))
    }

    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// Whether the pieces were the payload of this header.
    pub(crate) fn is_of(&self, header: &FrameHeader) -> bool {
        self.0.digest() == header.payload_sum
    }
}

/// Whether a payload read from disk is the one that was written.
pub(crate) fn payload_holds(header: &FrameHeader, payload: &[u8], seed: u64) -> bool {
    xxh3_64_with_seed(payload, seed) == header.payload_sum
}

/// Zeros after a payload.
pub(crate) fn padding(length: usize) -> usize {
    length.wrapping_neg() % ALIGN as usize
}

/// Octets of a frame with a payload of `length`.
pub(crate) fn frame_size(length: usize) -> u64 {
    (HEADER + length + padding(length)) as u64
}

/// What a sealed segment says of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seal {
    pub(crate) next: u64,
    pub(crate) next_seed: u64,
}

impl Seal {
    /// Octets of a seal.
    pub(crate) const SIZE: usize = 16;

    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(&self.next.to_le_bytes());
        bytes[8..].copy_from_slice(&self.next_seed.to_le_bytes());
        Bytes::copy_from_slice(&bytes)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, BadFrame> {
        if bytes.len() != Self::SIZE {
            return Err(BadFrame::Header);
        }
        Ok(Self {
            next: u64_at(bytes, 0),
            next_seed: u64_at(bytes, 8),
        })
    }
}

pub(crate) fn fuzz(data: &[u8]) {
    let (seed, offset) = (data.len() as u64, 64);
    if let Ok((header, _)) = FrameHeader::decode(data, seed, offset) {
        assert_eq!(header.encode(seed, offset).0, data[..HEADER]);
    }
    if let Ok(seal) = Seal::decode(data) {
        assert_eq!(seal.encode(), data);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> FrameHeader {
        FrameHeader {
            kind: 7,
            control: false,
            last: true,
            length: 5,
            index: 1,
            group: 9,
            previous: 77,
            payload_sum: 88,
        }
    }

    #[test]
    fn decodes_what_it_encodes() {
        let (bytes, sum) = header().encode(3, 64);
        assert_eq!(FrameHeader::decode(&bytes, 3, 64), Ok((header(), sum)));
        // The first frame of version 1, by hand: a change of format must change the version.
        assert_eq!(&bytes[..12], b"plmf\x07\x01\0\0\x05\0\0\0");
    }

    #[test]
    fn holds_only_in_its_place() {
        let (bytes, _) = header().encode(3, 64);
        assert_eq!(FrameHeader::decode(&bytes, 4, 64), Err(BadFrame::HeaderSum));
        assert_eq!(FrameHeader::decode(&bytes, 3, 72), Err(BadFrame::HeaderSum));
        assert_eq!(FrameHeader::decode(&[0; 48], 3, 64), Err(BadFrame::Magic));
        assert_eq!(
            FrameHeader::decode(&bytes[..47], 3, 64),
            Err(BadFrame::Short)
        );
    }

    #[test]
    fn sums_do_not_depend_on_the_pieces() {
        let whole = Bytes::from(vec![5; 1000]);
        let parts = [whole.slice(..3), Bytes::new(), whole.slice(3..)];
        assert_eq!(payload_sum(&parts, 1), payload_sum(&[whole], 1));
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_seen(bit in 0_usize..HEADER * 8) {
            let (mut bytes, _) = header().encode(3, 64);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(FrameHeader::decode(&bytes, 3, 64).is_err());
        }

        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }
    }
}
