//! The bytes on disk; `FORMAT.md` describes them.

pub(crate) mod frame;
pub(crate) mod manifest;
pub(crate) mod segment;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// The version written, and the newest one read.
pub(crate) const VERSION: u32 = 1;

/// A random number, from keys that the standard library takes from the operating system.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Takes `N` octets at `at`; callers give places inside `bytes`.
pub(crate) fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut taken = [0; N];
    taken.copy_from_slice(&bytes[at..at + N]);
    taken
}

/// A little-endian number at `at`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(take(bytes, at))
}

/// A little-endian number at `at`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(take(bytes, at))
}

pub(crate) fn fuzz(data: &[u8]) {
    frame::fuzz(data);
    manifest::fuzz(data);
    segment::fuzz(data);
}
