//! Moving an account from one shard to another (DESIGN section 7).
//!
//! The position of a move is its record in the store (`moves/<account>`), written before the step
//! that it names; one replica, elected in the store, drives all moves. Every step is idempotent and
//! decided by the record alone, so the driver may die at any line and another goes on. Every
//! transition is one transaction on the revisions of the move, of the account where it changes, and
//! of the election; every command to a shard carries the move's id and the epoch it acts at.
//!
//! S is the source, at epoch e; T is the target. A step is what the driver does while the record
//! shows the phase; when it has succeeded, the record goes to the next phase.
//!
//! | phase | step | next | when the step fails |
//! |---|---|---|---|
//! | Planned | check: T Active and live, room for the account, free places at S and T | Copying | waits; aborts when T is no longer Active |
//! | Copying | T `Prepare`(e): an empty, invisible account | Fencing | again; aborts when refused |
//! | Fencing | S `Fence`(e) → incarnation and change number, recorded; T `Import`; `Digest` at both must agree and come from the recorded incarnations | Verified | fences again, since S or T may be a new incarnation; aborts when digests differ, or after `stall_limit` |
//! | Verified | one transaction: account (S, e) → (T, e+1), T still Active, incarnations as verified | Switched | back to Fencing when an incarnation is another; aborts when T is no longer Active |
//! | Switched | T `Activate`(e+1) first, then S `Release`(e+1) | Serving | again, for ever: there is no way back |
//! | Serving | after the grace: T `ConfirmOwner`(e+1) under its lease, then S `Drop`(e+1) | Done | again, for ever |
//! | Aborted | S `Activate`(e+1), T `Discard`(e+1), each recorded | settled | again, for ever |
//!
//! An abort is one transaction, possible before Switched only: the phase, and account (S, e) →
//! (S, e+1), so that nothing sent for epoch e can act later. Removing an account aborts its move in
//! the same transaction that removes it. In this version the fence covers the whole copy.

mod command;
mod driver;
mod facts;
mod look;
mod plan;
mod replica;
mod request;
mod transition;
mod turn;

use std::time::Duration;

use kit::rpc::{BadEndpoint, Channel};
use wire::ids::{AccountId, ShardName};

pub use self::driver::drive;
pub use self::facts::{Evidence, Fence, MoveFacts, MoveFault, Progress};
pub use self::look::LookError;
pub use self::replica::Replica;
pub use self::request::{RequestError, abort_request, abortable, describe, start_request};
pub use self::transition::{AccountAt, MoveAt, StartError, abort_within};

/// How moves are driven.
#[derive(Debug, Clone)]
pub struct MovesConfig {
    /// How long a source keeps the data after the switch.
    pub grace: Duration,
    /// A move that is before its switch and has made no progress for this long is aborted.
    pub stall_limit: Duration,
    /// Most moves at once from one shard, and most to one shard.
    pub per_shard: usize,
    /// First pause after a failed step; it doubles up to `longest_pause`.
    pub first_pause: Duration,
    /// Longest pause after failed steps.
    pub longest_pause: Duration,
}

impl MovesConfig {
    /// Long enough that a request routed just before the switch has arrived.
    pub const GRACE: Duration = Duration::from_secs(5);
    /// Longer than a shard takes to start again, shorter than senders lose patience.
    pub const STALL_LIMIT: Duration = Duration::from_secs(300);
    /// Two copies keep a disk busy, and leave it to the mail.
    pub const PER_SHARD: usize = 4;
    /// A shard that starts again is back in about a second.
    pub const FIRST_PAUSE: Duration = Duration::from_millis(100);
    /// So that a shard that is back is noticed soon.
    pub const LONGEST_PAUSE: Duration = Duration::from_secs(5);
}

impl Default for MovesConfig {
    fn default() -> Self {
        Self {
            grace: Self::GRACE,
            stall_limit: Self::STALL_LIMIT,
            per_shard: Self::PER_SHARD,
            first_pause: Self::FIRST_PAUSE,
            longest_pause: Self::LONGEST_PAUSE,
        }
    }
}

/// What driving moves needs of the replica around it.
pub trait World: Send + Sync + 'static {
    /// The accounts whose moves are open, as the map has it.
    fn open_moves(&self) -> Vec<AccountId>;
    /// Resolves when the map has changed since the last call.
    fn changed(&self) -> impl Future<Output = ()> + Send;
    /// Other moves under way (beyond Planned): how many leave `source`, how many come to `target`.
    fn under_way(
        &self,
        other_than: AccountId,
        source: &ShardName,
        target: &ShardName,
    ) -> (usize, usize);
    /// A channel to a shard's RPC listener.
    fn channel(&self, shard: &ShardName, endpoint: &str) -> Result<Channel, BadEndpoint>;
    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64;
}
