//! Why a shard does not follow a request.

use segments::LogError;
use wire::ids::Epoch;

use crate::index::IndexError;
use crate::lease::NotHeld;

/// Why a request is not followed now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unready {
    /// Another epoch: ask the directory for at least this one. 0: this shard does not know.
    #[error("the account is elsewhere since epoch {0}")]
    Moved(Epoch),
    /// Try again later; says why.
    #[error("{0}")]
    Retry(String),
}

impl Unready {
    pub(crate) fn retry(reason: impl Into<String>) -> Self {
        Self::Retry(reason.into())
    }
}

impl From<IndexError> for Unready {
    fn from(error: IndexError) -> Self {
        tracing::error!(%error, "the index cannot be read");
        Self::retry("the index cannot be read")
    }
}

impl From<NotHeld> for Unready {
    fn from(not_held: NotHeld) -> Self {
        Self::Retry(not_held.to_string())
    }
}

impl From<LogError> for Unready {
    fn from(error: LogError) -> Self {
        Self::Retry(error.to_string())
    }
}

/// Why a request may not act on an account.
pub(crate) enum Refused {
    /// Say so.
    Now(Unready),
    /// Wait for a change, bounded, then say so.
    After(Unready),
}
