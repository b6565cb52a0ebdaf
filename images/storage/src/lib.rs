//! One shard: message heap, index, accounts, POP3, delivery, moves.

pub mod account;
pub mod index;
pub mod lease;
pub mod metrics;
pub mod pop3;
pub mod records;
pub mod registry;
pub mod session;
pub mod shard;
pub mod volume;
