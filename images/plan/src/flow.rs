//! What has to go from one shard to another.

use wire::ids::ShardName;

use crate::share::Share;

/// So much of what one shard has is to be another's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// The shard that gives.
    pub from: ShardName,
    /// The shard that takes.
    pub to: ShardName,
    /// What for.
    pub why: Why,
    /// How much of the load, a part of [`WHOLE`](crate::WHOLE).
    pub share: Share,
    /// How many accounts that is, if they are as the giver's are on the average; at least 1.
    pub accounts: u64,
    /// How many octets of mail, likewise.
    pub bytes: u64,
}

/// Why accounts move; in the order in which they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// The giver is to be empty.
    Leaving,
    /// The giver's volume is too full.
    Full,
    /// The giver has more than its part, or the taker less.
    Uneven,
}
