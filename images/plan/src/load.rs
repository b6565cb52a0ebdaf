//! What the planner is told.

use wire::ids::ShardName;

use crate::volume::Volume;

/// The weight of a shard that has none of its own and has not yet told how large its volume is.
pub const DEFAULT_WEIGHT: u32 = 100;

/// What a weight of 1 stands for: so a volume of 100 GiB weighs as much as a weight of 100.
const BYTES_PER_WEIGHT: u64 = 1 << 30;

/// One shard, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Its name; no two have the same.
    pub shard: ShardName,
    /// What is to become of its accounts.
    pub standing: Standing,
    /// It holds its lease, follows the directory and takes mail. Nothing moves from or to a shard that
    /// does not.
    pub serving: bool,
    /// 0: it follows the size of its volume.
    pub weight: u32,
    /// Accounts assigned to it, in whatever state.
    pub accounts: u64,
    /// Octets of their mail.
    pub bytes: u64,
    /// Its volume; none: it has never told, so it has never served and is no target yet.
    pub volume: Option<Volume>,
}

impl Load {
    /// What it weighs beside the others, at least 1.
    pub(crate) fn weighs(&self) -> u64 {
        let size = self.volume.map_or(0, |volume| volume.size);
        match (self.weight, size) {
            (0, 0) => u64::from(DEFAULT_WEIGHT) * BYTES_PER_WEIGHT,
            (0, size) => size,
            (weight, _) => u64::from(weight) * BYTES_PER_WEIGHT,
        }
    }
}

/// What is to become of a shard's accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It gives and takes, to be at its target.
    Active,
    /// It takes none, and keeps those it has unless its volume is full.
    Cordoned,
    /// All go.
    Leaving,
}

/// A move that is open: it counts as done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenMove {
    /// The shard that has the account.
    pub from: ShardName,
    /// The shard that gets it.
    pub to: ShardName,
    /// Octets of the account's mail; none: not known yet, it counts as one of the mean size.
    pub bytes: Option<u64>,
}

/// How even is even enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// By how much of its target a shard's load may differ from it; more than 100 is 100.
    pub tolerance_percent: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_stands_for_as_many_gibibytes() {
        let mut load = Load {
            shard: "a".parse().unwrap(),
            standing: Standing::Active,
            serving: true,
            weight: 0,
            accounts: 0,
            bytes: 0,
            volume: None,
        };
        let unknown = load.weighs();
        load.volume = Some(Volume {
            size: 100 << 30,
            free: 0,
            nearly_full: false,
        });
        assert_eq!(load.weighs(), unknown);
        load.weight = 100;
        assert_eq!(load.weighs(), unknown);
        load.weight = 1;
        assert_eq!(load.weighs(), 1 << 30);
    }
}
