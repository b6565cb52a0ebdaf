//! Room on a target: pure.

use wire::rpc::ShardLoad;

/// Octets that a copy needs on the target for each octet of the account: the records around the
/// messages, and the index.
const FACTOR: u64 = 2;

/// A shard takes no mail and no copies any more when less of its volume is free, in percent.
const MIN_FREE_PERCENT: u64 = 5;

/// Why an account finds no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// The shard says so itself.
    NearlyFull,
    /// So much is free beside what must stay free and what other moves still bring.
    Free(u64),
}

/// Whether an account of so many octets, if that is known, finds room on a shard with this load, if
/// it has told one, beside the octets that other moves still bring.
pub(crate) fn room(
    load: Option<&ShardLoad>,
    others: u64,
    account: Option<u64>,
) -> Result<(), NoRoom> {
    let Some(load) = load else { return Ok(()) };
    if load.nearly_full {
        return Err(NoRoom::NearlyFull);
    }
    let stays = load.volume_size / 100 * MIN_FREE_PERCENT;
    let taken = stays.saturating_add(others.saturating_mul(FACTOR));
    let free = load.volume_free.saturating_sub(taken);
    match account {
        Some(bytes) if bytes.saturating_mul(FACTOR) > free => Err(NoRoom::Free(free)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: ShardLoad = ShardLoad {
        accounts: 0,
        bytes: 0,
        messages: 0,
        volume_size: 10_000,
        volume_free: 1_500,
        nearly_full: false,
        read_only: false,
    };

    #[test]
    fn what_stays_free_and_what_others_bring_is_no_room() {
        let fits = |others, bytes| room(Some(&LOAD), others, Some(bytes));
        // 5 % of 10,000 stay free.
        assert_eq!(fits(0, 500), Ok(()));
        assert_eq!(fits(0, 501), Err(NoRoom::Free(1_000)));
        assert_eq!(fits(400, 100), Ok(()));
        assert_eq!(fits(400, 101), Err(NoRoom::Free(200)));
        assert_eq!(fits(u64::MAX, 1), Err(NoRoom::Free(0)));
    }

    #[test]
    fn a_shard_that_says_it_is_full_is_believed() {
        let full = ShardLoad {
            nearly_full: true,
            ..LOAD
        };
        assert_eq!(room(Some(&full), 0, None), Err(NoRoom::NearlyFull));
        assert_eq!(room(Some(&LOAD), u64::MAX, None), Ok(()));
        assert_eq!(room(None, 0, Some(u64::MAX)), Ok(()));
    }
}
