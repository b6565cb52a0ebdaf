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
}

/// The Active shards, as the map has them.
pub fn candidates(map: &Map) -> Vec<Candidate> {
    let active = map
        .shards()
        .filter(|shard| shard.state() == Some(ShardState::Active));
    active
        .map(|shard| Candidate {
            name: shard.name().clone(),
            accounts: shard.accounts(),
            bytes: shard.load().map_or(0, |load| load.bytes),
            live: shard.lease().is_some(),
        })
        .collect()
}

/// The `LeastLoaded` policy: the place in `candidates` of the one with the least, and why.
///
/// Accounts and bytes weigh the same, each as a share of what all candidates have. A shard without
/// its lease is taken only when there is no other. The candidate counts one account more after, so
/// that the next choice sees it.
pub fn least_loaded(candidates: &mut [Candidate]) -> Option<(ShardName, String)> {
    let any_live = candidates.iter().any(|candidate| candidate.live);
    let all_accounts = candidates.iter().map(|it| u128::from(it.accounts)).sum();
    let all_bytes = candidates.iter().map(|it| u128::from(it.bytes)).sum();
    let count = candidates.len();
    let chosen = candidates
        .iter_mut()
        .filter(|candidate| candidate.live || !any_live)
        .min_by_key(|candidate| {
            let load = share(candidate.accounts, all_accounts) + share(candidate.bytes, all_bytes);
            (load, candidate.name.clone())
        })?;
    let why = format!("LeastLoaded of {count}");
    chosen.accounts += 1;
    Some((chosen.name.clone(), why))
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
        }
    }

    fn chosen(candidates: &mut [Candidate]) -> Option<String> {
        least_loaded(candidates).map(|(name, _)| name.to_string())
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
        assert_eq!(chosen(&mut []), None);
    }
}
