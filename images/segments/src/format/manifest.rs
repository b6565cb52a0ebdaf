//! The manifest: which log this is, and which of its segments were removed on purpose.

use std::io::{self, IoSlice};

use xxhash_rust::xxh3::xxh3_64;

use crate::disk::Disk;
use crate::format::segment::BadHeader;
use crate::format::{VERSION, u32_at, u64_at};

/// The manifest's file.
pub(crate) const NAME: &str = "manifest";
/// What is written before it takes the name.
pub(crate) const NEXT: &str = "manifest.next";
/// Most octets that are read: a million gaps.
pub(crate) const MAX_SIZE: u64 = 16 << 20;

const MAGIC: [u8; 8] = *b"BUZONMAN";
const START: usize = 24;

/// Removed segments as ranges, first and last included, ascending and apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) log: u64,
    removed: Vec<(u64, u64)>,
}

/// Where writing a manifest failed.
#[derive(Debug)]
pub(crate) enum WriteFault {
    /// Before anything that counts: nothing changed.
    Harmless(io::Error),
    /// In a sync or after it: the disk cannot be trusted further.
    Fatal(io::Error),
}

impl Manifest {
    pub(crate) fn new(log: u64) -> Self {
        Self {
            log,
            removed: Vec::new(),
        }
    }

    /// Whether the segment was removed on purpose.
    pub(crate) fn is_removed(&self, id: u64) -> bool {
        let after = self.removed.partition_point(|range| range.0 <= id);
        after > 0 && id <= self.removed[after - 1].1
    }

    /// The manifest with one more removed segment.
    pub(crate) fn with_removed(&self, id: u64) -> Self {
        let mut all = self.removed.clone();
        all.push((id, id));
        all.sort_unstable();
        let mut removed: Vec<(u64, u64)> = Vec::with_capacity(all.len());
        for range in all {
            match removed.last_mut() {
                Some(last) if range.0 <= last.1.saturating_add(1) => last.1 = last.1.max(range.1),
                _ => removed.push(range),
            }
        }
        Self {
            log: self.log,
            removed,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(START + self.removed.len() * 16 + 8);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.removed.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.log.to_le_bytes());
        for (first, last) in &self.removed {
            bytes.extend_from_slice(&first.to_le_bytes());
            bytes.extend_from_slice(&last.to_le_bytes());
        }
        let sum = xxh3_64(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, BadHeader> {
        if bytes.len() < START + 8 {
            return Err(BadHeader::Short);
        }
        let (summed, sum) = bytes.split_at(bytes.len() - 8);
        if summed[..8] != MAGIC || xxh3_64(summed) != u64_at(sum, 0) {
            return Err(BadHeader::Sum);
        }
        let version = u32_at(summed, 8);
        if version > VERSION {
            return Err(BadHeader::Newer(version));
        }
        let ranges = &summed[START..];
        if version != VERSION || ranges.len() != u32_at(summed, 12) as usize * 16 {
            return Err(BadHeader::Sum);
        }
        let pair = |range: &[u8]| (u64_at(range, 0), u64_at(range, 8));
        Ok(Self {
            log: u64_at(summed, 16),
            removed: ranges.chunks_exact(16).map(pair).collect(),
        })
    }

    /// Puts this manifest in the place of the one there, durably.
    pub(crate) fn write(&self, disk: &dyn Disk) -> Result<(), WriteFault> {
        // What a crash left behind, if anything.
        let _ = disk.remove(NEXT);
        let bytes = self.encode();
        let file = disk.create(NEXT).map_err(WriteFault::Harmless)?;
        file.write_at(&mut [IoSlice::new(&bytes)], 0)
            .map_err(WriteFault::Harmless)?;
        file.sync_all().map_err(WriteFault::Fatal)?;
        disk.rename(NEXT, NAME).map_err(WriteFault::Fatal)?;
        disk.sync_dir().map_err(WriteFault::Fatal)
    }
}

pub(crate) fn fuzz(data: &[u8]) {
    if let Ok(manifest) = Manifest::decode(data) {
        assert_eq!(manifest.encode(), data);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn remembers_what_was_removed(ids: Vec<u8>) {
            let set: BTreeSet<_> = ids.iter().map(|id| u64::from(*id)).collect();
            let mut manifest = Manifest::new(7);
            for id in ids {
                manifest = manifest.with_removed(u64::from(id));
            }
            let read = Manifest::decode(&manifest.encode()).unwrap();
            prop_assert_eq!(&read, &manifest);
            for id in 0..300 {
                prop_assert_eq!(read.is_removed(id), set.contains(&id));
            }
        }

        #[test]
        fn any_flipped_bit_is_seen(bit in 0_usize..48 * 8) {
            let mut bytes = Manifest::new(7).with_removed(3).encode();
            prop_assert_eq!(bytes.len(), 48);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Manifest::decode(&bytes).is_err());
        }

        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }
    }
}
