//! One shard: message heap, index, accounts, POP3, delivery, moves.

pub mod pop3;
pub mod session;
