//! A MailboxShard: what it wants, and what it consists of.

pub mod build;
pub mod decide;
pub(crate) mod reconcile;
pub mod recovering;
pub mod shape;

pub use shape::Shard;
