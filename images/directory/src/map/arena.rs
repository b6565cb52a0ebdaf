//! Blocks of octets in chunks of 1 MiB: no allocation per entry, and nothing ever doubles.
//!
//! A block that is freed is used again for the next of its size class (4 octets wide), so the
//! arena never holds more than each class's largest number of blocks at one time.

/// Octets of a chunk.
const CHUNK: usize = 1024 * 1024;

/// Blocks begin at multiples of this, so that 32 bits reach 16 GiB.
const UNIT: usize = 4;

/// Octets before a block's content: its length.
const HEADER: usize = 2;

/// The longest content.
pub(super) const MAX_CONTENT: usize = u16::MAX as usize;

/// Where a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handle(pub(super) u32);

/// The blocks.
#[derive(Default)]
pub(super) struct Arena {
    chunks: Vec<Box<[u8]>>,
    /// Units of the last chunk that are used.
    used: usize,
    /// Free blocks, by their size in units.
    free: Vec<Vec<u32>>,
}

impl Arena {
    /// Stores `content`, at most [`MAX_CONTENT`] octets of it.
    pub(super) fn put(&mut self, content: &[u8]) -> Handle {
        let content = &content[..content.len().min(MAX_CONTENT)];
        let units = units(content.len());
        let handle = match self.free.get_mut(units).and_then(Vec::pop) {
            Some(free) => Handle(free),
            None => self.grow(units),
        };
        self.fill(handle, content);
        handle
    }

    /// Replaces a block; the handle stays the same when the size class does.
    pub(super) fn replace(&mut self, old: Handle, content: &[u8]) -> Handle {
        if units(content.len()) == units(self.get(old).len()) {
            self.fill(old, content);
            return old;
        }
        self.free(old);
        self.put(content)
    }

    /// A block's content.
    pub(super) fn get(&self, handle: Handle) -> &[u8] {
        let block = self.block(handle);
        let length = usize::from(u16::from_le_bytes([block[0], block[1]]));
        &block[HEADER..HEADER + length]
    }

    /// A block's content, to be changed in place.
    pub(super) fn get_mut(&mut self, handle: Handle) -> &mut [u8] {
        let length = self.get(handle).len();
        let (chunk, offset) = place(handle);
        &mut self.chunks[chunk][offset + HEADER..offset + HEADER + length]
    }

    /// Gives a block's space back; the handle means nothing after.
    pub(super) fn free(&mut self, handle: Handle) {
        let units = units(self.get(handle).len());
        if self.free.len() <= units {
            self.free.resize_with(units + 1, Vec::new);
        }
        self.free[units].push(handle.0);
    }

    /// Octets of memory it holds.
    pub(super) fn bytes(&self) -> usize {
        let lists: usize = self.free.iter().map(|list| list.capacity() * 4 + 24).sum();
        self.chunks.len() * CHUNK + lists
    }

    fn grow(&mut self, units: usize) -> Handle {
        const UNITS: usize = CHUNK / UNIT;
        if self.chunks.is_empty() || self.used + units > UNITS {
            self.chunks.push(vec![0; CHUNK].into_boxed_slice());
            self.used = 0;
        }
        let at = (self.chunks.len() - 1) * UNITS + self.used;
        self.used += units;
        Handle(u32::try_from(at).expect("a map of 16 GiB does not fit any machine we run on"))
    }

    fn fill(&mut self, handle: Handle, content: &[u8]) {
        let (chunk, offset) = place(handle);
        let block = &mut self.chunks[chunk][offset..offset + HEADER + content.len()];
        let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
        block[..HEADER].copy_from_slice(&length.to_le_bytes());
        block[HEADER..].copy_from_slice(content);
    }

    fn block(&self, handle: Handle) -> &[u8] {
        let (chunk, offset) = place(handle);
        &self.chunks[chunk][offset..]
    }
}

/// Units of a block with so much content.
const fn units(content: usize) -> usize {
    (HEADER + content).div_ceil(UNIT)
}

const fn place(handle: Handle) -> (usize, usize) {
    let at = handle.0 as usize * UNIT;
    (at / CHUNK, at % CHUNK)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn freed_space_is_used_again() {
        let mut arena = Arena::default();
        let blocks: Vec<_> = (0..100_000).map(|_| arena.put(&[7; 30])).collect();
        let full = arena.bytes();
        for block in blocks {
            arena.free(block);
        }
        for _ in 0..100_000 {
            arena.put(&[8; 29]);
        }
        assert!(arena.bytes() <= full + 1024 * 1024, "{}", arena.bytes());
    }

    #[test]
    fn blocks_do_not_straddle_chunks() {
        let mut arena = Arena::default();
        let blocks: Vec<_> = (0..200u8).map(|n| arena.put(&[n; 60_000])).collect();
        for (n, block) in (0..200u8).zip(blocks) {
            assert_eq!(arena.get(block), [n; 60_000]);
        }
    }

    proptest! {
        #[test]
        fn holds_what_was_put(steps in prop::collection::vec((0..20u8, 0..300usize), 1..200)) {
            let mut arena = Arena::default();
            let mut expected: HashMap<u8, (Handle, Vec<u8>)> = HashMap::new();
            for (n, (name, length)) in steps.into_iter().enumerate() {
                let content = vec![n as u8; length];
                match expected.remove(&name) {
                    Some((old, _)) if length % 3 == 0 => arena.free(old),
                    Some((old, _)) => {
                        let new = arena.replace(old, &content);
                        expected.insert(name, (new, content));
                    }
                    None => {
                        expected.insert(name, (arena.put(&content), content));
                    }
                }
                for (handle, content) in expected.values() {
                    prop_assert_eq!(arena.get(*handle), &content[..]);
                }
            }
        }
    }
}
