//! Moves between two real shards over a real embedded store, their driver killed at every step.

mod aborted;
mod debts;
mod drained;
mod driver;
mod gate;
mod gated;
mod gated_shard;
mod killed;
mod limits;
mod long;
mod mail;
mod many;
mod removed;
mod restarted;
mod stage;
mod subject;
