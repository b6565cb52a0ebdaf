//! One shard: message heap, index, accounts, POP3, delivery, moves.
//!
//! ```text
//! pop3 ──► maildrop ─┐                 ┌─► segments: the heap, written as records
//! service: mail in ──┼─► shard ─► account: the rules; lease: may it be acknowledged?
//! moves: copies ─────┤                 └─► index: what is seen, by account
//! registry: follows the directory ─────────► who is here, at which epoch
//! tier: locks the volume, opens the ports; tenure: holds the lease     space: is there room?
//! opening: how far the opening of the volume is, told before there is a lease
//! ```

pub mod account;
mod config;
pub mod index;
pub mod lease;
pub mod maildrop;
pub mod metrics;
pub mod moves;
pub mod opening;
pub mod pop3;
pub mod records;
pub mod registry;
pub mod service;
pub mod shard;
pub mod space;
mod stopped;
mod tenure;
mod tier;
pub mod volume;

pub use crate::config::{
    Config, LEASE_PATIENCE, LOCK_PATIENCE, MIN_FREE_PERCENT, RebuildConfig, SPACE_EVERY,
};
pub use crate::stopped::main;
pub use crate::tier::{Error, Storage, rebuild_index};

/// Feeds any octets to every parser of this crate: records of the heap, rows and keys of the index,
/// parts of an export, the directory's words, lines of POP3, the lock file.
pub fn fuzz(data: &[u8]) {
    records::fuzz(data);
    index::fuzz(data);
    moves::fuzz(data);
    registry::reconcile::fuzz(data);
    pop3::machine::fuzz(data);
    volume::lock::fuzz(data);
}
