//! What shards have not told yet of moves that are done: pure.
//!
//! A shard tells its octets every 30 s, and the directory counts an account to its new shard at once.
//! Whoever looked in between would see a shard with many accounts and no mail, and send it more.

use plan::Load;
use wire::rpc::{Move, MovePhase, ShardInfo};

/// Adds to loads what moves have brought and taken since their shards told them.
pub(super) fn add(loads: &mut [Load], shards: &[ShardInfo], moves: &[Move], now_ms: i64) {
    for load in loads {
        let info = shards.iter().find(|info| info.name == load.shard.as_str());
        let Some(age_ms) = info.and_then(|info| info.load_age_ms) else {
            continue;
        };
        let told_at_ms = now_ms.saturating_sub_unsigned(age_ms);
        let done = moves
            .iter()
            .filter(|told| told.phase() == MovePhase::Done && told.changed_at_ms >= told_at_ms);
        for told in done {
            let bytes = told.total_bytes;
            if told.target == load.shard.as_str() {
                load.bytes = load.bytes.saturating_add(bytes);
                if let Some(volume) = load.volume.as_mut() {
                    volume.free = volume.free.saturating_sub(bytes);
                }
            }
            if told.source == load.shard.as_str() {
                load.bytes = load.bytes.saturating_sub(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use plan::{Standing, Volume};

    use super::*;

    fn load(shard: &str) -> Load {
        Load {
            shard: shard.parse().unwrap(),
            standing: Standing::Active,
            serving: true,
            weight: 100,
            accounts: 1,
            bytes: 100,
            volume: Some(Volume {
                size: 1000,
                free: 500,
                nearly_full: false,
            }),
        }
    }

    fn told(shard: &str, age_ms: Option<u64>) -> ShardInfo {
        ShardInfo {
            name: shard.to_owned(),
            load_age_ms: age_ms,
            ..ShardInfo::default()
        }
    }

    fn moved(phase: MovePhase, changed_at_ms: i64) -> Move {
        Move {
            source: "a".to_owned(),
            target: "b".to_owned(),
            phase: phase.into(),
            total_bytes: 30,
            changed_at_ms,
            ..Move::default()
        }
    }

    #[test]
    fn what_was_moved_since_a_shard_told_its_load_is_added() {
        let after = |ages: [Option<u64>; 2], moves: &[Move]| {
            let mut loads = [load("a"), load("b")];
            let shards = [told("a", ages[0]), told("b", ages[1])];
            add(&mut loads, &shards, moves, 10_000);
            let free = loads[1].volume.unwrap().free;
            (loads[0].bytes, loads[1].bytes, free)
        };
        let both = [Some(3000), Some(3000)];
        let done = |at| moved(MovePhase::Done, at);
        assert_eq!(after(both, &[done(7000)]), (70, 130, 470));
        assert_eq!(after(both, &[done(8000), done(9000)]), (40, 160, 440));
        assert_eq!(after(both, &[done(6999)]), (100, 100, 500));
        assert_eq!(
            after([Some(100), Some(3000)], &[done(8000)]),
            (100, 130, 470)
        );
        assert_eq!(after([None, None], &[done(8000)]), (100, 100, 500));
        for phase in [MovePhase::Copying, MovePhase::Aborted] {
            assert_eq!(after(both, &[moved(phase, 8000)]), (100, 100, 500));
        }
    }
}
