//! What the store holds: keys and records.

mod key;
pub mod records;

use wire::rpc::MovePhase;

pub use key::{Key, KeyError, Kind, fuzz};

impl records::MoveRecord {
    /// Whether there is still something to do, at either shard.
    pub fn is_open(&self) -> bool {
        match self.phase() {
            MovePhase::Done => false,
            MovePhase::Aborted => !(self.source_settled && self.target_settled),
            _ => true,
        }
    }
}
