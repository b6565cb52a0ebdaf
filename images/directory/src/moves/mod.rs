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
//! | Planned | check: T Active and live and no older release than S, room for the account, free places at S and T | Copying | waits; aborts when T is no longer Active |
//! | Copying | T `Prepare`(e): an empty, invisible account | Fencing | again; aborts when refused, or stalled |
//! | Fencing | T `Prepare`(e) once more, S `Fence`(e) → incarnation and change number, recorded; T `Import`; `Digest` at both must agree and come from the recorded incarnations | Verified | fences again, since S or T may be a new incarnation; aborts when digests differ, or stalled |
//! | Verified | one transaction: account (S, e) → (T, e+1), T still Active, incarnations as verified | Switched | back to Fencing when an incarnation is another; aborts when T is no longer Active |
//! | Switched | T `Activate`(e+1) first, then S `Release` | Serving | again, for ever: there is no way back |
//! | Serving | after the grace: T `ConfirmOwner` under its lease, then S `Drop` | Done | again, for ever |
//! | Aborted | S `Activate`(e+1), T `Discard`(e+1) unless the move was only Planned, each recorded | settled | again, for ever |
//!
//! A move is stalled when it fails, has been in its phase for `stall_limit`, and either has copied
//! nothing for `stall_limit` or has had five copies that broke off. An import begins from nothing each
//! time, so that whatever it brings is progress, and only their number ends copies that never end.
//!
//! A shard without its lease is sent nothing. Moves that wait for one, or for places, or for time to
//! pass, are set aside (see `roster`), however many they are, and keep no other from its turn.
//!
//! Once the account is decided, it may be removed, restored or purged at any time, each with a later
//! epoch, which S and T hear from the directory too. So `Activate` is sent only while the account is
//! Active at that shard at e+1, and `Release`, `ConfirmOwner` and `Drop` carry the account's newest
//! epoch. A purge is over (and the account's record gone) only after its move, which also takes the
//! data at the other shard.
//!
//! What follows when a shard refuses a command for good (`FAILED_PRECONDITION`); any other error is
//! "not now" and the step is done again:
//!
//! | command | refused, because | then |
//! |---|---|---|
//! | `Prepare`(e) | T has seen a later epoch, or has the account | abort |
//! | `Fence`(e) | S has seen a later epoch, or does not have the account | abort |
//! | `Import`(e) | T does not build it for this move; or S, whom T asks, is not fenced as recorded: it started again | fence again: `Prepare` and `Fence` find out which, and abort or mend it |
//! | `Digest`(e) | T or S is not complete and still for this move | fence again |
//! | `Activate`(e+1), T | T lost what was verified: only S has the mail now | again, for ever; nothing is released or dropped, and a person must look |
//! | `Activate`(e+1), T | the account was removed meanwhile, and T knows | the next look sees that; not sent again |
//! | `Activate`(e+1), S | S lost the account: only T may have a copy | again, for ever; T's copy is not discarded, and a person must look |
//! | `Activate`(e+1), S | the account was removed meanwhile, and S knows | the next look sees that; settled without |
//! | `Release` | S is not fenced by this move: there is nothing to release | done |
//! | `ConfirmOwner` | T does not have the account (yet) at this epoch | again, for ever; S keeps the data, and a person must look if it lasts |
//! | `Drop` | S has no released data of this move | done |
//! | `Discard`(e+1) | T builds nothing for this move | done |
//!
//! An abort is one transaction, possible before Switched only: the phase, and account (S, e) →
//! (S, e+1), so that nothing sent for epoch e can act later. Removing an account aborts its move in
//! the same transaction that removes it. In this version the fence covers the whole copy.

mod admit;
mod command;
mod copy;
mod driver;
mod end;
mod facts;
mod look;
mod places;
mod plan;
mod replica;
mod request;
mod roster;
mod start;
mod transition;
mod turn;

use std::time::Duration;

use kit::rpc::{BadEndpoint, Channel};
use wire::ids::{AccountId, ShardName};
use wire::rpc::MovePhase;

pub use self::driver::drive;
pub use self::facts::{Evidence, Fence, MoveFacts, MoveFault, Progress, fuzz};
pub use self::look::LookError;
pub use self::replica::Replica;
pub use self::request::{RequestError, abort_request, abortable, describe, start_request};
pub use self::start::StartError;
pub use self::transition::{AccountAt, MoveAt, abort_within};

/// How moves are driven.
#[derive(Debug, Clone)]
pub struct MovesConfig {
    /// How long a source keeps the data after the switch.
    pub grace: Duration,
    /// A move that fails before its switch is aborted when it has made no progress for this long, or
    /// only by copies that broke off.
    pub stall_limit: Duration,
    /// Most moves at once from one shard, and most to one shard; they count until the switch.
    pub per_shard: usize,
    /// Most moves that take their turns at once; what has to wait for something is not one of them.
    pub in_hand: usize,
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
    /// Each has at most a few calls and little memory.
    pub const IN_HAND: usize = 1024;
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
            in_hand: Self::IN_HAND,
            first_pause: Self::FIRST_PAUSE,
            longest_pause: Self::LONGEST_PAUSE,
        }
    }
}

/// What driving moves needs of the replica around it.
pub trait World: Send + Sync + 'static {
    /// The accounts whose moves are open, and their phases, as the map has it.
    fn open_moves(&self) -> Vec<(AccountId, MovePhase)>;
    /// The shards from which and to which an account is moved; none: its move's record is gone, or
    /// cannot be read.
    fn ends(&self, account: AccountId) -> Option<(ShardName, ShardName)>;
    /// Whether a shard holds its lease, as the map has it.
    fn holds_lease(&self, shard: &ShardName) -> bool;
    /// Resolves when the map has changed since the last call.
    fn changed(&self) -> impl Future<Output = ()> + Send;
    /// A channel to a shard's RPC listener.
    fn channel(&self, shard: &ShardName, endpoint: &str) -> Result<Channel, BadEndpoint>;
    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64;
}
