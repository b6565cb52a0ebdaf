//! A message to the shards that own its accounts.

mod calls;
mod copies;
mod courier;
mod follow;
mod shard;
mod spooled;
mod waiting;

use wire::ids::{DeliveryId, ShardName};

use crate::body::Body;
use crate::spool::NoAnswer;

pub(crate) use follow::follow;
pub(crate) use waiting::{Place as WaitingPlace, WaitingRoom};

pub use copies::{Copies, Copy};
pub use courier::{Courier, CourierOptions};
pub use spooled::SpoolCourier;

/// What is the same in every copy of a message.
#[derive(Clone)]
pub struct Parcel {
    /// For logs.
    pub transaction: String,
    /// By which shards know a message that they have.
    pub delivery: DeliveryId,
    /// When it was accepted, milliseconds since 1970.
    pub received_at_ms: i64,
    /// The message with our Received header.
    pub body: Body,
}

/// What became of one copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Durable at its shard.
    Stored(Place),
    /// It was durable there before.
    Duplicate(Place),
    /// The account is removed.
    Gone,
    /// Never: the shard says so, and why.
    Never(String),
    /// Not now: the shard says so, or nobody knows where the account is. Why, for the log.
    Pending(String),
    /// Not now: the shard does not answer.
    Away {
        /// Which shard: the account may have moved to it meanwhile.
        shard: ShardName,
        /// How that was seen.
        how: NoAnswer,
        /// Why, for the log.
        reason: String,
    },
}

/// Where a copy is in its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Of the mailbox.
    pub uid_validity: u32,
    /// Of the message.
    pub uid: u32,
}
