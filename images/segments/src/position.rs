//! Where a record is.

use std::fmt;

/// A place in the log: a segment and an offset in its file. Ordered by time of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The segment's id; the first segment is 1.
    pub segment: u64,
    /// Octets from the start of the segment's file.
    pub offset: u64,
}

impl Position {
    /// As 16 octets that sort as positions do.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.segment.to_be_bytes());
        bytes[8..].copy_from_slice(&self.offset.to_be_bytes());
        bytes
    }

    /// From the octets that [`Position::to_bytes`] makes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_be_bytes(bytes);
        Self {
            segment: (both >> 64) as u64,
            offset: both as u64,
        }
    }
}

/// Where a log ends, provably: its history up to there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// The end.
    pub at: Position,
    /// Checksum of the last header before it, which covers all before that by its chain.
    pub sum: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_sort_as_positions(a: (u64, u64), b: (u64, u64)) {
            let [a, b] = [a, b].map(|(segment, offset)| Position { segment, offset });
            prop_assert_eq!(Position::from_bytes(a.to_bytes()), a);
            prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
        }
    }
}
