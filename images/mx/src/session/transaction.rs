//! One mail transaction: MAIL, RCPT and what they led to.

use wire::ids::{AccountId, Epoch, ShardName, TransactionId};
use wire::smtp::{ForwardPath, ReversePath};

/// A transaction from MAIL on.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// In the 250, in Received and in logs.
    pub id: TransactionId,
    /// Where bounces go.
    pub from: ReversePath,
    /// Octets that the client announced (SIZE=).
    pub announced: Option<u64>,
    /// Accepted recipients, in order.
    pub recipients: Vec<Recipient>,
    /// Octets that BDAT announced so far; none before the first.
    pub(super) chunked: Option<u64>,
}

/// A recipient that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// As the client wrote it.
    pub path: ForwardPath,
    /// Where it leads: one account, or several of an alias.
    pub targets: Vec<Target>,
}

/// An account that a message goes to, and where the directory said it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The account.
    pub account: AccountId,
    /// Its primary address.
    pub address: String,
    /// Name of its shard.
    pub shard: ShardName,
    /// host:port of the shard's RPC listener; empty: it was never up.
    pub endpoint: String,
    /// The epoch that this holds at.
    pub epoch: Epoch,
    /// The answer is an old one, from when the directory could last be asked: spool only.
    pub stale: bool,
}

/// What is known of a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// It leads to these accounts.
    Known(Vec<Target>),
    /// The domain is ours, the address is not there.
    Unknown,
    /// The domain is not ours: no relaying.
    Foreign,
    /// Every account it leads to is over its quota.
    OverQuota,
    /// The directory cannot say.
    Unsure,
}

impl Transaction {
    pub(super) fn new(from: ReversePath, announced: Option<u64>) -> Self {
        let transaction = Self::with(TransactionId::random(), from, Vec::new());
        Self {
            announced,
            ..transaction
        }
    }

    /// A transaction from its parts.
    pub fn with(id: TransactionId, from: ReversePath, recipients: Vec<Recipient>) -> Self {
        Self {
            id,
            from,
            announced: None,
            recipients,
            chunked: None,
        }
    }
}
