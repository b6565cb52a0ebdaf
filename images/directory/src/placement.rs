//! Where a new account goes: a pure policy.

use wire::ids::ShardName;
use wire::rpc::ShardState;

use crate::map::Map;

/// A shard that may take accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub name: ShardName,
    /// Accounts assigned to it.
    pub accounts: u64,
    /// Live bytes on it, as it last said.
    pub bytes: u64,
    /// Whether it holds its lease now.
    pub live: bool,
    /// So little of its volume is free that it takes no mail.
    pub nearly_full: bool,
}

/// Why no shard takes a new account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoShard {
    /// There is none.
    #[error("no shard is Active: start one, or make one Active again")]
    NoneActive,
    /// None has room.
    #[error("the volume of every Active shard is nearly full: free some room, or start another")]
    AllFull,
}

/// The Active shards, as the map has them.
pub fn candidates(map: &Map) -> Vec<Candidate> {
    let active = map
        .shards()
        .filter(|shard| shard.state() == Some(ShardState::Active));
    active
        .map(|shard| {
            let load = shard.load().copied().unwrap_or_default();
            Candidate {
                name: shard.name().clone(),
                accounts: shard.accounts(),
                bytes: load.bytes,
                live: shard.lease().is_some(),
                nearly_full: load.nearly_full,
            }
        })
        .collect()
}

/// The `LeastLoaded` policy: the place in `candidates` of the one with the least, and why.
///
/// Accounts and bytes weigh the same, each as a share of what all candidates have. One that is nearly
/// full is never taken, and a shard without its lease only when there is no other. The candidate counts one account more after, so
/// that the next choice sees it.
pub fn least_loaded(candidates: &mut [Candidate]) -> Result<(ShardName, String), NoShard> {
    if candidates.is_empty() {
        return Err(NoShard::NoneActive);
    }
    let has_room = |candidate: &Candidate| !candidate.nearly_full;
    let any_live = candidates.iter().any(|it| it.live && has_room(it));
    let all_accounts = candidates.iter().map(|it| u128::from(it.accounts)).sum();
    let all_bytes = candidates.iter().map(|it| u128::from(it.bytes)).sum();
    let count = candidates.len();
    let chosen = candidates
        .iter_mut()
        .filter(|candidate| has_room(candidate) && (candidate.live || !any_live))
        .min_by_key(|candidate| {
            let load = share(candidate.accounts, all_accounts) + share(candidate.bytes, all_bytes);
            (load, candidate.name.clone())
        });
    let chosen = chosen.ok_or(NoShard::AllFull)?;
    let why = format!("LeastLoaded of {count}");
    chosen.accounts += 1;
    Ok((chosen.name.clone(), why))
}

/// Millionths of all.
fn share(part: u64, all: u128) -> u128 {
    u128::from(part) * 1_000_000 / all.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str, accounts: u64, bytes: u64) -> Candidate {
        Candidate {
            name: name.parse().unwrap(),
            accounts,
            bytes,
            live: true,
            nearly_full: false,
        }
    }

    fn chosen(candidates: &mut [Candidate]) -> Option<String> {
        let chosen = least_loaded(candidates).ok();
        chosen.map(|(name, _)| name.to_string())
    }

    #[test]
    fn spreads_new_accounts_evenly() {
        let mut shards = [
            candidate("a", 0, 0),
            candidate("b", 0, 0),
            candidate("c", 0, 0),
        ];
        for _ in 0..300 {
            assert!(chosen(&mut shards).is_some());
        }
        assert!(
            shards.iter().all(|shard| shard.accounts == 100),
            "{shards:?}"
        );
    }

    #[test]
    fn bytes_weigh_as_much_as_accounts() {
        let mut shards = [candidate("a", 100, 900), candidate("b", 110, 100)];
        assert_eq!(chosen(&mut shards).as_deref(), Some("b"));
    }

    #[test]
    fn a_dead_shard_is_the_last_resort() {
        let mut shards = [candidate("a", 0, 0), candidate("b", 50, 50)];
        shards[0].live = false;
        assert_eq!(chosen(&mut shards).as_deref(), Some("b"));
        shards[1].live = false;
        assert_eq!(chosen(&mut shards).as_deref(), Some("a"));
        assert_eq!(least_loaded(&mut []), Err(NoShard::NoneActive));
    }

    #[test]
    fn a_full_shard_is_no_resort() {
        let mut shards = [candidate("a", 0, 0), candidate("b", 50, 50)];
        shards[0].nearly_full = true;
        assert_eq!(chosen(&mut shards).as_deref(), Some("b"));
        shards[1].live = false;
        assert_eq!(chosen(&mut shards).as_deref(), Some("b"));
        shards[1].nearly_full = true;
        assert_eq!(least_loaded(&mut shards), Err(NoShard::AllFull));
    }
}
