//! Why a shard must end.

use std::sync::Arc;

use segments::LogError;
use wire::ids::Incarnation;

use crate::index::writer::ApplyError;

/// Why a shard must end. Nothing more is acknowledged then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Ending {
    /// Another incarnation has the lease.
    #[error("incarnation {0} of this shard has taken over")]
    Superseded(Incarnation),
    /// The heap takes nothing more: mostly its disk's fault.
    #[error("the heap: {0}")]
    Heap(LogError),
    /// What is durable cannot be indexed.
    #[error("the index: {0}")]
    Index(Arc<ApplyError>),
    /// Reading found the index damaged.
    #[error("the index is damaged, and the next start rebuilds it: {0}")]
    Damaged(Arc<str>),
    /// The operating system gave no thread to index with.
    #[error("cannot start a thread: {0}")]
    NoThread(Arc<std::io::Error>),
    /// The thread that indexes panicked: a fault of ours.
    #[error("the thread that indexes what is durable has panicked")]
    Panicked,
    /// The thread that indexes ended and was not asked to: a fault of ours.
    #[error("the thread that indexes what is durable has ended by itself")]
    Unasked,
    /// The volume was full, so the shard only read, and can write again once it is run anew.
    #[error("the volume was full and has room again: start anew")]
    RoomAgain,
    /// The index took no writes, so the shard only read, and may write again once it is run anew.
    #[error("the index took no writes: start anew")]
    IndexAgain,
}

impl Ending {
    /// Whether a new start is all that it needs.
    pub fn wants_new_start(&self) -> bool {
        match self {
            Self::RoomAgain | Self::IndexAgain | Self::Damaged(_) => true,
            Self::Superseded(_)
            | Self::Heap(_)
            | Self::Index(_)
            | Self::NoThread(_)
            | Self::Panicked
            | Self::Unasked => false,
        }
    }
}
