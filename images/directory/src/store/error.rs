//! What can go wrong with a store.

use kit::task::NoAnswer;

use super::{MAX_OPERATIONS, MAX_TXN_BYTES, Revision};

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The watch would start before what the store remembers: load again.
    #[error("the store has forgotten the changes after revision {0:?}; they have to be loaded")]
    Compacted(Revision),
    /// The transaction may or may not have been committed; read again to know.
    #[error("whether the transaction was committed is unknown: {0}")]
    Unknown(String),
    /// The store cannot be asked now. Nothing was changed.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    /// The store takes no writes now: it is at its quota, or has too much to do. Nothing was changed.
    #[error(
        "the store takes no writes: {0}; an etcd at its quota is compacted and defragmented, and \
         then its alarm disarmed"
    )]
    Full(String),
    /// The lease has ended, or there never was one. Nothing was changed.
    #[error("the lease has ended")]
    LeaseGone,
    /// The transaction breaks a rule that every store has. Nothing was changed.
    #[error(
        "the transaction {0}; it may have {MAX_OPERATIONS} conditions and {MAX_OPERATIONS} writes \
         of different keys in {MAX_TXN_BYTES} octets"
    )]
    Malformed(&'static str),
    /// What is stored cannot be read, or the store stopped for good: a person must look.
    #[error("the store has failed: {0}")]
    Failed(String),
}

impl Error {
    /// Whether the same call may succeed later.
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Unknown(_) | Self::Unavailable(_) | Self::Full(_) => true,
            Self::Compacted(_) | Self::LeaseGone | Self::Malformed(_) | Self::Failed(_) => false,
        }
    }
}

/// Of a read.
impl From<NoAnswer> for Error {
    fn from(no_answer: NoAnswer) -> Self {
        match no_answer {
            NoAnswer::Panicked => Self::Failed(no_answer.to_string()),
            NoAnswer::Stopped => Self::Unavailable(no_answer.to_string()),
        }
    }
}
