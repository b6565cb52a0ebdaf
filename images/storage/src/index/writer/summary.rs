//! What batches do to accounts, in numbers that the shard counts and watches.

use wire::ids::AccountId;

use crate::account::{Account, Usage};

/// What a batch did to one account.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// The account.
    pub account: AccountId,
    /// As it was before the batch.
    pub before: Summary,
    /// As it is.
    pub after: Summary,
    /// Whether the batch changed what this shard is to it.
    pub ownership: bool,
}

/// What the shard counts and watches of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Whether it counts as an account of this shard.
    pub held: bool,
    /// Whether sessions may read it.
    pub serves: bool,
    /// What it holds; nothing while it does not count.
    pub usage: Usage,
    /// Whether it is over its limits.
    pub over_quota: bool,
}

impl Summary {
    /// Of an account, or of none.
    pub fn of(account: Option<&Account>) -> Self {
        match account {
            Some(account) if account.is_held() => Self {
                held: true,
                serves: account.serves(),
                usage: account.usage(),
                over_quota: account.is_over_quota(),
            },
            _ => Self::default(),
        }
    }
}
