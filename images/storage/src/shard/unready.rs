//! Why a shard does not follow a request.

use kit::task::NoAnswer;
use segments::LogError;
use strum::{IntoStaticStr, VariantNames};
use wire::ids::{Epoch, Incarnation};

use crate::account::access::NotYet;
use crate::account::{Exhausted, Inconsistent};
use crate::index::IndexError;
use crate::lease::NotHeld;

/// Why a request is not followed now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unready {
    /// Another epoch: ask the directory for at least this one. 0: this shard does not know.
    #[error("the account is elsewhere since epoch {0}")]
    Moved(Epoch),
    /// Try again later.
    #[error(transparent)]
    Retry(Why),
}

/// What is in the way; each has one sentence, and one label in the metrics.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Why {
    /// Too little of the volume is free for more mail.
    #[error("the shard's volume is nearly full")]
    NearlyFull,
    /// The volume was full: the shard only reads until it starts anew.
    #[error("the shard's volume is full")]
    Full,
    /// The index's store takes no writes: the shard only reads until it starts anew.
    #[error("the shard's index takes no writes")]
    IndexWrites,
    /// It was asked to stop.
    #[error("the shard is stopping")]
    Stopping,
    /// It had to end; its log says why.
    #[error("the shard had to end")]
    Ended,
    /// The directory has not confirmed the lease.
    #[error("the shard's lease is not confirmed")]
    Lease,
    /// This process is the shard no more.
    #[error("incarnation {0} of this shard has taken over")]
    Superseded(Incarnation),
    /// The heap's queue is full.
    #[error("the shard has more to write than its disk takes")]
    Overloaded,
    /// The memory for bodies is taken.
    #[error("too many deliveries at a time")]
    TooManyDeliveries,
    /// The account could not be opened in time.
    #[error("the account is busy")]
    Busy,
    /// The same delivery is under way and did not end in time.
    #[error("the same message is being stored")]
    BeingStored,
    /// The account cannot be served yet.
    #[error(transparent)]
    #[strum(transparent)]
    NotYet(NotYet),
    /// The directory assigns it here and it is not: a person must look.
    #[error("the account is assigned to this shard and is not there")]
    Missing,
    /// A fault of ours.
    #[error("the account has no INBOX")]
    NoInbox,
    /// The mailbox can take no message more, ever.
    #[error(transparent)]
    Exhausted(Exhausted),
    /// What was decided contradicts the account it was decided on: a fault of ours.
    #[error(transparent)]
    Inconsistent(Inconsistent),
    /// More than a record takes.
    #[error("a record of {0} octets is larger than the heap takes")]
    TooLarge(usize),
    /// The heap takes nothing more.
    #[error("the heap cannot be written")]
    Heap,
    /// The log says more.
    #[error("the index cannot be read")]
    Index,
    /// A thread that worked for this request panicked: a fault of ours.
    #[error("a thread of the shard panicked")]
    Panicked,
}

/// What it takes for a reason to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passes {
    /// Time: whoever tries again later is served.
    ByItself,
    /// A person: whoever tries again is served once it is mended.
    OnceMended,
    /// It does not: to try again is of no use.
    Never,
}

impl Why {
    /// Its label in the metrics.
    pub fn label(&self) -> &'static str {
        self.into()
    }

    /// Whether it passes.
    pub fn passes(&self) -> Passes {
        match self {
            Self::NearlyFull
            | Self::Full
            | Self::IndexWrites
            | Self::Stopping
            | Self::Ended
            | Self::Lease
            | Self::Superseded(_)
            | Self::Overloaded
            | Self::TooManyDeliveries
            | Self::Busy
            | Self::BeingStored
            | Self::NotYet(_)
            | Self::Heap
            | Self::Index
            | Self::Panicked => Passes::ByItself,
            Self::Missing | Self::NoInbox | Self::Inconsistent(_) => Passes::OnceMended,
            Self::Exhausted(_) | Self::TooLarge(_) => Passes::Never,
        }
    }
}

impl From<Why> for Unready {
    fn from(why: Why) -> Self {
        Self::Retry(why)
    }
}

impl From<IndexError> for Unready {
    fn from(error: IndexError) -> Self {
        tracing::error!(%error, "the index cannot be read");
        Why::Index.into()
    }
}

impl From<NotHeld> for Unready {
    fn from(not_held: NotHeld) -> Self {
        Self::Retry(match not_held {
            NotHeld::Unsure => Why::Lease,
            NotHeld::Superseded(by) => Why::Superseded(by),
        })
    }
}

impl From<&LogError> for Why {
    fn from(error: &LogError) -> Self {
        match error {
            LogError::Overloaded => Self::Overloaded,
            LogError::TooLarge(octets) => Self::TooLarge(*octets),
            LogError::Failed { .. } if error.is_full() => Self::Full,
            LogError::Closed => Self::Stopping,
            LogError::Failed { .. }
            | LogError::NoSuchSegment(_)
            | LogError::NotSealed(_)
            | LogError::Manifest(_) => Self::Heap,
        }
    }
}

impl From<NoAnswer> for Unready {
    fn from(no_answer: NoAnswer) -> Self {
        Self::Retry(match no_answer {
            NoAnswer::Panicked => Why::Panicked,
            NoAnswer::Stopped => Why::Stopping,
        })
    }
}

/// Why a request may not act on an account.
pub(super) enum Refused {
    /// Say so.
    Now(Unready),
    /// Wait for a change, bounded, then say so.
    After(Unready),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_label_of_its_own() {
        let nested = |label: &&&str| **label != "not_yet";
        let why = Why::VARIANTS.iter().filter(nested);
        let mut labels: Vec<&str> = why.chain(NotYet::VARIANTS).copied().collect();
        let count = labels.len();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), count, "{labels:?}");
        assert_eq!(Why::NotYet(NotYet::Moving).label(), "moving");
        assert_eq!(Why::NearlyFull.label(), "nearly_full");
    }
}
