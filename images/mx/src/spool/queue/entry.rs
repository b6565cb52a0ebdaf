//! One spooled message.

use std::fmt;

use bytes::Bytes;
use segments::Position;
use wire::ids::{AccountId, DeliveryId, Epoch, ShardName};

/// Number of an entry; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub u64);

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where an entry's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyAt {
    /// The record.
    pub position: Position,
    /// Where in the record's payload the body starts.
    pub start: u64,
    /// Octets of the body.
    pub length: u64,
}

/// A message and who is still to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub id: EntryId,
    /// The random id of the SMTP transaction.
    pub transaction_id: String,
    /// The id that makes delivering it twice harmless.
    pub delivery_id: DeliveryId,
    /// Without angle brackets; empty for bounces.
    pub reverse_path: String,
    /// When MX had it, milliseconds since 1970.
    pub received_at_ms: i64,
    /// Where the message is.
    pub body: BodyAt,
    /// Pending and dead targets; delivered ones are gone.
    pub targets: Vec<Target>,
}

/// One account that is to get the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its number within the entry.
    pub index: u32,
    /// The account.
    pub account: AccountId,
    /// The epoch it was last routed by.
    pub epoch: Epoch,
    /// The shard it was last routed to, and in whose queue it waits.
    pub shard: ShardName,
    /// Header lines that differ by recipient.
    pub prefix: Bytes,
    /// The address, for people.
    pub recipient: String,
    /// Attempts that failed.
    pub attempts: u32,
    /// Why the last one failed.
    pub last_error: String,
    /// What it waits for.
    pub state: State,
}

/// What a target waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// This time, milliseconds since 1970.
    Due(i64),
    /// An attempt that is under way.
    InFlight,
    /// An administrator: it was given up, for this reason.
    Dead(String),
}

impl Entry {
    /// Octets that the entry takes on disk, nearly.
    pub fn bytes(&self) -> u64 {
        self.body.start + self.body.length
    }

    /// Whether all that is left are dead letters.
    pub fn is_dead(&self) -> bool {
        self.targets.iter().all(Target::is_dead)
    }
}

impl Target {
    /// Whether it was given up.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, State::Dead(_))
    }
}
