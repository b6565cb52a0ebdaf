//! Which shards leave when there are to be fewer.

use crds::mailbox_shard::ShardMode;
use kube::Resource;
use wire::rpc::{ShardInfo, ShardState};

/// A shard that the operator made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Its number.
    pub ordinal: u32,
    /// What it is to the directory; none: unknown to it.
    pub state: Option<ShardState>,
    /// Its object is being deleted: it leaves in any case, and does not count any more.
    pub deleted: bool,
    /// Its object says that it is to take no accounts.
    pub set_aside: bool,
    /// How many accounts are left on it.
    pub accounts: u64,
}

impl Counted {
    /// By its object, what that wants, and what the directory says of it.
    pub fn new(
        ordinal: u32,
        object: &impl Resource,
        mode: ShardMode,
        info: Option<&ShardInfo>,
    ) -> Self {
        Self {
            ordinal,
            state: info.map(ShardInfo::state),
            deleted: object.meta().deletion_timestamp.is_some(),
            set_aside: mode != ShardMode::Active,
            accounts: info.map_or(0, |info| info.accounts),
        }
    }
}

/// The numbers of those that leave: whatever has retired, since it never comes back and stands for no
/// shard any more, and as many as there are then more than `wanted`. First those on their way already, the emptiest first, so that of those that need not leave any more the fullest are
/// kept; then those that somebody has set aside; then the highest numbers.
pub fn choose(shards: &[Counted], wanted: u32) -> Vec<u32> {
    let there = shards.iter().filter(|shard| !shard.deleted);
    let (retired, mut staying): (Vec<_>, Vec<_>) =
        there.partition(|shard| shard.state == Some(ShardState::Retired));
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    let many = staying.len().saturating_sub(wanted);
    staying.sort_by_key(|shard| (rank(shard), std::cmp::Reverse(shard.ordinal)));
    let mut leaving: Vec<u32> = staying
        .iter()
        .take(many)
        .chain(&retired)
        .map(|shard| shard.ordinal)
        .collect();
    leaving.sort_unstable();
    leaving
}

/// Lower leaves sooner.
fn rank(shard: &Counted) -> (u8, u64) {
    match shard.state {
        Some(ShardState::Retired | ShardState::Lost) => (0, 0),
        Some(ShardState::Draining) => (1, shard.accounts),
        Some(ShardState::Cordoned) => (2, 0),
        Some(ShardState::Active | ShardState::Unspecified) | None if shard.set_aside => (2, 0),
        Some(ShardState::Active | ShardState::Unspecified) | None => (3, 0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shard(ordinal: u32, state: ShardState, accounts: u64) -> Counted {
        Counted {
            ordinal,
            state: Some(state),
            deleted: false,
            set_aside: false,
            accounts,
        }
    }

    #[test]
    fn the_highest_numbers_leave() {
        let shards = [2, 0, 10, 1].map(|ordinal| shard(ordinal, ShardState::Active, 5));
        assert_eq!(choose(&shards, 4), [0; 0]);
        assert_eq!(choose(&shards, 2), [2, 10]);
        assert_eq!(choose(&shards, 0), [0, 1, 2, 10]);
        assert_eq!(choose(&shards, 9), [0; 0]);
    }

    #[test]
    fn those_on_their_way_go_on_and_the_fullest_of_them_turn_back_first() {
        let shards = [
            shard(0, ShardState::Draining, 1),
            shard(1, ShardState::Active, 9),
            shard(2, ShardState::Draining, 7),
            shard(3, ShardState::Cordoned, 9),
        ];
        assert_eq!(choose(&shards, 3), [0]);
        assert_eq!(choose(&shards, 2), [0, 2]);
        assert_eq!(choose(&shards, 1), [0, 2, 3]);
    }

    #[test]
    fn what_is_being_deleted_does_not_count() {
        let mut shards = [0, 1, 2].map(|ordinal| shard(ordinal, ShardState::Active, 5));
        shards[0].deleted = true;
        assert_eq!(choose(&shards, 2), [0; 0]);
        assert_eq!(choose(&shards, 1), [2]);
    }

    /// One that was wanted again too late is replaced by another.
    #[test]
    fn what_has_retired_leaves_and_does_not_count() {
        let shards = [
            shard(0, ShardState::Retired, 0),
            shard(1, ShardState::Active, 5),
        ];
        assert_eq!(choose(&shards, 2), [0]);
        assert_eq!(choose(&shards, 1), [0]);
        assert_eq!(choose(&shards, 0), [0, 1]);
    }

    proptest! {
        #[test]
        fn as_many_leave_as_there_are_too_many(
            states in proptest::collection::vec((0..5_usize, any::<bool>(), any::<bool>(), 0..9_u64), 0..12),
            wanted in 0..14_u32,
        ) {
            let all = [
                Some(ShardState::Active),
                Some(ShardState::Cordoned),
                Some(ShardState::Draining),
                Some(ShardState::Retired),
                None,
            ];
            let shards: Vec<_> = (0..).zip(&states).map(|(ordinal, (state, deleted, aside, accounts))| {
                Counted { ordinal, state: all[*state], deleted: *deleted, set_aside: *aside, accounts: *accounts }
            }).collect();
            let there = shards.iter().filter(|shard| !shard.deleted);
            let (retired, staying): (Vec<&Counted>, Vec<&Counted>) =
                there.partition(|shard| shard.state == Some(ShardState::Retired));
            let leaving = choose(&shards, wanted);
            let many = staying.len().saturating_sub(wanted as usize);
            prop_assert_eq!(leaving.len(), retired.len() + many);
            // Whoever asks for one more keeps all that stayed before.
            let fewer = choose(&shards, wanted + 1);
            prop_assert!(fewer.iter().all(|ordinal| leaving.contains(ordinal)));
        }
    }
}
