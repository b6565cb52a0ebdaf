//! The directory: which addresses exist, which account they lead to, and which shard owns it.
//!
//! The whole map is in memory ([`model`] says what is in it); durable state is in a [`store`]
//! behind a small trait. Any replica answers *yes* from memory; a *no* waits for a proof that the
//! replica is not behind.

pub mod map;
pub mod model;
pub mod moves;
pub mod store;
