//! A hash table of handles: 5 octets an entry; names and keys stay in the arena.

use hashbrown::HashTable;

use super::arena::Handle;

/// Handles by hash. Hashes and comparisons come from outside.
#[derive(Default)]
pub(super) struct Table(HashTable<u32>);

impl Table {
    pub(super) fn find(&self, hash: u64, is: impl Fn(Handle) -> bool) -> Option<Handle> {
        self.0
            .find(hash, |entry| is(Handle(*entry)))
            .copied()
            .map(Handle)
    }

    /// All that have this hash and are `is`.
    pub(super) fn find_all<'a>(
        &'a self,
        hash: u64,
        is: impl Fn(Handle) -> bool + 'a,
    ) -> impl Iterator<Item = Handle> + 'a {
        let entries = self.0.iter_hash(hash).copied().map(Handle);
        entries.filter(move |entry| is(*entry))
    }

    /// Adds a handle; `rehash` gives the hash of any entry, for when the table grows.
    pub(super) fn insert(&mut self, hash: u64, handle: Handle, rehash: impl Fn(Handle) -> u64) {
        self.0
            .insert_unique(hash, handle.0, |entry| rehash(Handle(*entry)));
    }

    /// Puts `new` where `old` is.
    pub(super) fn replace(&mut self, hash: u64, old: Handle, new: Handle) {
        if let Some(entry) = self.0.find_mut(hash, |entry| *entry == old.0) {
            *entry = new.0;
        }
    }

    pub(super) fn remove(&mut self, hash: u64, handle: Handle) {
        if let Ok(entry) = self.0.find_entry(hash, |entry| *entry == handle.0) {
            entry.remove();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Octets of memory it holds.
    pub(super) fn bytes(&self) -> usize {
        self.0.allocation_size()
    }
}
