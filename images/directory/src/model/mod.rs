//! What the store holds: keys and records.

mod key;
pub mod records;

use wire::rpc::MovePhase;

pub use key::{Key, KeyError, Kind, fuzz};

impl records::MoveRecord {
    /// Whether it is not decided yet where the account is to be.
    pub fn is_open(&self) -> bool {
        is_open(self.phase())
    }
}

/// Whether a move in this phase is not decided yet. A phase that this version does not know is.
pub fn is_open(phase: MovePhase) -> bool {
    match phase {
        MovePhase::Planned
        | MovePhase::Copying
        | MovePhase::Fencing
        | MovePhase::Verified
        | MovePhase::Unspecified => true,
        MovePhase::Done | MovePhase::Aborted => false,
    }
}
