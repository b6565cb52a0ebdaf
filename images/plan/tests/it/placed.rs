//! What placement does, no plan undoes.

use buzonera_plan::{Balance, Load, Standing, Volume};
use proptest::prelude::*;

use crate::sim::{limits, name};

const GIB: u64 = 1 << 30;

/// Shards without mail; those that take no new accounts may hold some.
fn shards() -> impl Strategy<Value = Vec<Load>> {
    let standing = prop_oneof![
        6 => Just(Standing::Active),
        1 => Just(Standing::Cordoned),
    ];
    let free = prop_oneof![5 => Just(90u64), 1 => 2u64..90];
    let shard = (
        standing,
        prop::bool::weighted(0.9),
        0u32..1001,
        1u64..2_000,
        free,
        0u64..300,
    );
    prop::collection::vec(shard, 1..9).prop_map(|shards| {
        let load = |(at, (standing, serving, weight, size, free, held)): (
            usize,
            (_, _, _, u64, u64, u64),
        )| Load {
            shard: name(&format!("s-{at}")),
            standing,
            serving,
            weight,
            accounts: match standing {
                Standing::Active => 0,
                Standing::Cordoned | Standing::Leaving => held,
            },
            bytes: 0,
            volume: Some(Volume {
                size: size * GIB,
                free: size * GIB / 100 * free,
                nearly_full: free < 5,
            }),
        };
        shards.into_iter().enumerate().map(load).collect()
    })
}

proptest! {
    #[test]
    fn accounts_that_were_placed_on_empty_shards_stay(
        loads in shards(),
        accounts in 0usize..600,
        tolerance in 1u32..51,
    ) {
        let mut balance = Balance::of(&loads, &[]);
        let mut placed = loads.clone();
        for _ in 0..accounts {
            let Ok(place) = balance.place() else { break };
            placed.iter_mut().find(|it| it.shard == place.shard).unwrap().accounts += 1;
        }
        prop_assert_eq!(buzonera_plan::plan(&placed, &[], &limits(tolerance)), [], "{:?}", placed);
    }
}
