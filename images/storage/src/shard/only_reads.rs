//! Why a shard only reads.

use super::{Ending, Why};

/// Why a shard takes no change until it starts anew. What is acknowledged is read meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OnlyReads {
    /// The volume was full.
    #[error("the volume is full")]
    Full,
    /// The index's store takes no writes: one of its own failed, mostly for want of room, and it
    /// does not tell.
    #[error("the index takes no writes")]
    Index,
}

impl OnlyReads {
    /// What whoever wants to change something is told.
    pub(super) fn why(self) -> Why {
        match self {
            Self::Full => Why::Full,
            Self::Index => Why::IndexWrites,
        }
    }

    /// How the shard ends once there is room: what failed is never written to again.
    pub(crate) fn ending(self) -> Ending {
        match self {
            Self::Full => Ending::RoomAgain,
            Self::Index => Ending::IndexAgain,
        }
    }
}
