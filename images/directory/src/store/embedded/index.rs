//! Where the living entry of each key is in the log, in 20 octets a key.

use hashbrown::HashTable;
use ring::digest::{Context, SHA256};
use segments::Position;

use crate::store::Error;

/// Stands for a key: 96 bits of a keyed SHA-256. Two of 10 million keys share one with a chance of
/// 1 in 10^15, and nobody who cannot read this process's memory can look for such keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct KeyHash([u8; 12]);

/// Hashes keys; another secret in every process.
#[derive(Debug, Clone)]
pub(super) struct Hasher {
    secret: [u8; 16],
}

impl Hasher {
    pub(super) fn new() -> Self {
        Self {
            secret: *uuid::Uuid::new_v4().as_bytes(),
        }
    }

    pub(super) fn hash(&self, key: &str) -> KeyHash {
        let mut context = Context::new(&SHA256);
        context.update(&self.secret);
        context.update(key.as_bytes());
        let mut hash = [0; 12];
        hash.copy_from_slice(&context.finish().as_ref()[..12]);
        KeyHash(hash)
    }
}

/// A record in the log, as small as possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) segment: u32,
    pub(super) offset: u32,
}

impl Place {
    pub(super) fn new(position: Position) -> Result<Self, Error> {
        let part = |number: u64| {
            let text = format!("position {position} is beyond what the store's index can hold");
            u32::try_from(number).map_err(|_| Error::Failed(text))
        };
        Ok(Self {
            segment: part(position.segment)?,
            offset: part(position.offset)?,
        })
    }
}

impl From<Place> for Position {
    fn from(place: Place) -> Self {
        Self {
            segment: place.segment.into(),
            offset: place.offset.into(),
        }
    }
}

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) hash: KeyHash,
    pub(super) place: Place,
}

/// Every key that is in the store.
#[derive(Debug, Default)]
pub(super) struct Index {
    table: HashTable<Slot>,
}

impl Index {
    pub(super) fn get(&self, hash: KeyHash) -> Option<Place> {
        let slot = self.table.find(short(hash), |slot| slot.hash == hash);
        slot.map(|slot| slot.place)
    }

    pub(super) fn set(&mut self, hash: KeyHash, place: Place) {
        let entry = self.table.entry(
            short(hash),
            |slot| slot.hash == hash,
            |slot| short(slot.hash),
        );
        let slot = Slot { hash, place };
        let mut occupied = entry.or_insert(slot);
        *occupied.get_mut() = slot;
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, hash: KeyHash) -> bool {
        let found = self.table.find_entry(short(hash), |slot| slot.hash == hash);
        found.map(|found| found.remove()).is_ok()
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Every slot, in the order of the log.
    pub(super) fn in_order(&self, wanted: impl Fn(&Slot) -> bool) -> Vec<Slot> {
        let mut slots: Vec<_> = self
            .table
            .iter()
            .filter(|slot| wanted(slot))
            .copied()
            .collect();
        slots.sort_unstable_by_key(|slot| slot.place);
        slots
    }
}

/// The part of a hash that the table uses.
fn short(hash: KeyHash) -> u64 {
    let mut octets = [0; 8];
    octets.copy_from_slice(&hash.0[..8]);
    u64::from_ne_bytes(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_20_octets() {
        assert_eq!(size_of::<Slot>(), 20);
    }

    #[test]
    fn keeps_one_place_a_key() {
        let hasher = Hasher::new();
        let mut index = Index::default();
        let at = |offset| Place { segment: 1, offset };
        for key in 0..1000_u32 {
            index.set(hasher.hash(&key.to_string()), at(key));
        }
        index.set(hasher.hash("7"), at(5000));
        assert!(index.remove(hasher.hash("8")));
        assert!(!index.remove(hasher.hash("8")));
        assert_eq!(index.len(), 999);
        assert_eq!(index.get(hasher.hash("7")), Some(at(5000)));
        assert_eq!(index.get(hasher.hash("8")), None);
        let late = index.in_order(|slot| slot.place.offset > 997);
        let offsets: Vec<_> = late.iter().map(|slot| slot.place.offset).collect();
        assert_eq!(offsets, [998, 999, 5000]);
    }
}
