//! No less than what is planned would do.

use buzonera_plan::{Load, Standing, Volume, WHOLE};
use proptest::prelude::*;

use crate::sim::{limits, name};

/// The accounts that are moved at once here, so that single ones do not matter.
const BLOCK: u64 = 1_000;

/// A shard's weight, whether it is to be empty, and its blocks.
type Shard = (u32, bool, u64);

/// Blocks are dealt so that targets and the ends of bands are whole blocks.
fn shards() -> impl Strategy<Value = Vec<Shard>> {
    let shard = (1u32..4, prop::bool::weighted(0.25), 0u64..1000);
    let shards = prop::collection::vec(shard, 2..5);
    let shards = shards.prop_filter("one takes", |shards| shards.iter().any(|it| !it.1));
    shards.prop_map(|mut shards| {
        let active = shards.iter().filter(|it| !it.1);
        let all = active.map(|it| u64::from(it.0) * 10).sum::<u64>();
        let drawn = shards.iter().map(|it| it.2).sum::<u64>().max(1);
        let mut left = all;
        for shard in &mut shards {
            shard.2 = (shard.2 * all / drawn).min(left);
            left -= shard.2;
        }
        shards[0].2 += left;
        shards
    })
}

/// By trying every way to deal the blocks: the fewest that change shards so that all are within bounds.
fn fewest(shards: &[Shard], bounds: &[(u64, u64)], left: u64) -> Option<u64> {
    let (Some((shard, shards)), Some((bound, bounds))) =
        (shards.split_first(), bounds.split_first())
    else {
        return (left == 0).then_some(0);
    };
    let ways = (bound.0..=bound.1.min(left)).filter_map(|deal| {
        let given = shard.2.saturating_sub(deal);
        Some(given + fewest(shards, bounds, left - deal)?)
    });
    ways.min()
}

proptest! {
    #[test]
    fn as_trying_every_way_shows(
        shards in shards(),
        tolerance in prop::sample::select(vec![10u32, 20, 30, 50]),
    ) {
        let loads: Vec<_> = shards.iter().enumerate().map(|(at, (weight, leaves, blocks))| Load {
            shard: name(&format!("s-{at}")),
            standing: if *leaves { Standing::Leaving } else { Standing::Active },
            serving: true,
            weight: *weight,
            accounts: blocks * BLOCK,
            bytes: blocks * BLOCK * 100,
            volume: Some(Volume { size: 1 << 60, free: 1 << 59, nearly_full: false }),
        }).collect();
        let bounds: Vec<_> = shards.iter().map(|(weight, leaves, _)| {
            let target = u64::from(*weight) * 10;
            let by = target * u64::from(tolerance) / 100;
            if *leaves { (0, 0) } else { (target - by, target + by) }
        }).collect();
        let all: u64 = shards.iter().map(|it| it.2).sum();
        let fewest = fewest(&shards, &bounds, all).unwrap();
        let flows = buzonera_plan::plan(&loads, &[], &limits(tolerance));
        let planned: i64 = flows.iter().map(|flow| flow.share).sum();
        let least = WHOLE / all as i64 * fewest as i64;
        let account = WHOLE / (all * BLOCK) as i64;
        prop_assert!((planned - least).abs() <= account, "{planned} {least} {flows:?}");
    }
}
