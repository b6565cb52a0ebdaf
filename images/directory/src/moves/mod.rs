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
//! | Planned | check: T Active and live and no older release than S, room for the account, nothing of it that T still owes, free places at S and T | Copying | waits; aborts when T is no longer Active |
//! | Copying | T `Prepare`(e): an empty, invisible account | Fencing | again; aborts when refused, or stalled |
//! | Fencing | T `Prepare`(e) once more, S `Fence`(e) → incarnation and change number, recorded; T `Import`; `Digest` at both must agree and come from the recorded incarnations | Verified | fences again, since S or T may be a new incarnation; aborts when digests differ, or stalled |
//! | Verified | one transaction: account (S, e) → (T, e+1), T still Active, incarnations as verified; S owes | Done | back to Fencing when an incarnation is another; aborts when T is no longer Active |
//!
//! A decided move, Done or Aborted, is over with the transaction that decides it: the account may be
//! moved again at once. S and T hear of it by their watches, like of every change of an account: T
//! serves at e+1, or S does after an abort. What the other one still has is its debt, put in the
//! same transaction and told by that shard's watch whenever it is back (`registry::debts`).
//!
//! S hears of the decision by its watch, which may be late: until then it takes no changes, since it
//! is fenced, and lets nobody read before the directory has proven, for that reader, that the account
//! is still here (`Registry.Locate`). So nothing that T deletes comes back.
//!
//! A move is stalled when it fails, has been in its phase for `stall_limit`, and either has copied
//! nothing for `stall_limit` or has had five copies that broke off. An import begins from nothing each
//! time, so that whatever it brings is progress, and only their number ends copies that never end.
//!
//! How many moves are under way at once, how fast they copy, and whether any begins is a record of the
//! store (`limits`), which may change at any time.
//!
//! A shard without its lease is sent nothing. Moves that wait for one, or for places, are set aside
//! (see `roster`), however many they are, and keep no other from its turn. When T is declared lost
//! the move is aborted, and when S is, unless it is Verified: then T has all of the account.
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
//!
//! A target whose volume is nearly full says so (`RESOURCE_EXHAUSTED`) to `Prepare`, which is asked
//! again before each fence, and to `Import`: the move is aborted. Room on a target is reserved by the
//! records of all open moves to it together (`room`).
//!
//! An abort is one transaction: the phase, account (S, e) → (S, e+1), so that nothing sent for epoch
//! e can act later, and T's debt, unless the move was only Planned: then T was told nothing. Whatever
//! else gives the account another epoch (it is removed, restored, purged) aborts its move in the same
//! transaction. In this version the fence covers the whole copy.

mod admit;
mod batch;
mod command;
mod copy;
mod driver;
mod facts;
mod limits;
mod look;
mod places;
mod plan;
mod replica;
mod request;
mod room;
mod roster;
mod start;
mod transition;
mod turn;

use std::time::Duration;

use kit::rpc::{BadEndpoint, Channel};
use wire::ids::{AccountId, ShardName};
use wire::rpc::{MoveLimits, MovePhase};

pub use self::batch::{Batches, shard_accounts};
pub use self::driver::drive;
pub use self::facts::{Evidence, Fence, MoveFacts, MoveFault, Progress, fuzz};
pub use self::limits::{PER_SHARD, TooSlow, effective, set_limits};
pub use self::look::LookError;
pub use self::replica::Replica;
pub use self::request::{
    RequestError, abort_request, describe, start_request, taken_back, without_open_move,
};
pub use self::start::StartError;
pub use self::transition::{AccountAt, MoveAt};

/// How moves are driven.
#[derive(Debug, Clone)]
pub struct MovesConfig {
    /// A move that fails before its switch is aborted when it has made no progress for this long, or
    /// only by copies that broke off.
    pub stall_limit: Duration,
    /// Most moves that take their turns at once; what has to wait for something is not one of them.
    pub in_hand: usize,
    /// First pause after a failed step; it doubles up to `longest_pause`.
    pub first_pause: Duration,
    /// Longest pause after failed steps.
    pub longest_pause: Duration,
}

impl MovesConfig {
    /// Longer than a shard takes to start again, shorter than senders lose patience.
    pub const STALL_LIMIT: Duration = Duration::from_secs(300);
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
            stall_limit: Self::STALL_LIMIT,
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
    /// What moves may cost, as the map has it.
    fn limits(&self) -> MoveLimits;
    /// Octets that open moves still bring to a shard, without those of this account.
    fn bringing(&self, target: &ShardName, except: AccountId) -> u64;
    /// Resolves when the map has changed since the last call.
    fn changed(&self) -> impl Future<Output = ()> + Send;
    /// A channel to a shard's RPC listener.
    fn channel(&self, shard: &ShardName, endpoint: &str) -> Result<Channel, BadEndpoint>;
    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64;
}
