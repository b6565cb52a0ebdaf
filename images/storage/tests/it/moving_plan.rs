//! The steps of a move, and how one fails.

use buzonera_storage::shard::Unready;
use tonic::{Code, Status};
use wire::ids::MoveId;

/// What the driver of a move does, and what both shards hear then; the directory is the test itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Prepare,
    Fence,
    Import,
    Compare,
    Switch,
    Serve,
    Release,
    Drop,
}

pub(crate) const STEPS: [Step; 8] = [
    Step::Prepare,
    Step::Fence,
    Step::Import,
    Step::Compare,
    Step::Switch,
    Step::Serve,
    Step::Release,
    Step::Drop,
];

/// Why a step is not done.
#[derive(Debug)]
pub(crate) enum Undone {
    /// Again.
    Away(Status),
    /// A shard started anew in between: from the fence on again.
    Fence,
}

impl From<Unready> for Undone {
    fn from(unready: Unready) -> Self {
        Self::Away(Status::unavailable(unready.to_string()))
    }
}

impl From<Status> for Undone {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::Unavailable | Code::Cancelled | Code::Unknown | Code::DeadlineExceeded => {
                Self::Away(status)
            }
            // The source has another incarnation.
            Code::FailedPrecondition if status.message().contains("fence again") => Self::Fence,
            _ => panic!("refused for good: {status}"),
        }
    }
}

/// One move.
pub(crate) struct Plan {
    pub(crate) move_id: MoveId,
    pub(crate) source: usize,
    pub(crate) target: usize,
    /// What the fence answered: incarnation and change number.
    pub(crate) fence: Option<(u64, u64)>,
    /// Incarnations of source and target when they were compared.
    pub(crate) compared: Option<(u64, u64)>,
}
