//! Whatever is told, a plan comes of it, and no number runs over.

use buzonera_plan::{AccountSize, Balance, Hold, Load, OpenMove, Standing, Volume};
use proptest::prelude::*;

use crate::sim::{id, limits, name};

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>()]
}

fn load() -> impl Strategy<Value = Load> {
    let standing = prop::sample::select(vec![
        Standing::Active,
        Standing::Cordoned,
        Standing::Leaving,
    ]);
    let volume = (number(), number(), any::<bool>());
    let volume = volume.prop_map(|(size, free, nearly_full)| Volume {
        size,
        free,
        nearly_full,
    });
    let volume = prop::option::weighted(0.9, volume);
    let told = (standing, any::<u32>(), number(), number(), volume, 0u32..8);
    told.prop_map(|(standing, weight, accounts, bytes, volume, shard)| Load {
        shard: name(&format!("s-{shard}")),
        standing,
        serving: true,
        weight,
        accounts,
        bytes,
        volume,
    })
}

proptest! {
    #[test]
    fn nothing_runs_over(
        loads in prop::collection::vec(load(), 0..8),
        open in prop::collection::vec((0u32..9, 0u32..9, prop::option::of(number())), 0..8),
        sizes in prop::collection::vec(number(), 0..8),
        tolerance in any::<u32>(),
    ) {
        let open: Vec<_> = open.into_iter().map(|(from, to, bytes)| OpenMove {
            from: name(&format!("s-{from}")),
            to: name(&format!("s-{to}")),
            bytes,
        }).collect();
        let accounts: Vec<_> = sizes.into_iter().enumerate().map(|(at, bytes)| AccountSize {
            account: id(at as u64),
            bytes,
            hold: Hold::Free,
        }).collect();
        let mut balance = Balance::of(&loads, &open);
        for flow in balance.plan(&limits(tolerance)) {
            balance.pick(&flow, &accounts, usize::MAX);
        }
        let placed = balance.place().is_ok();
        let capacity = balance.capacity();
        let has_place = |it: &Load| {
            it.standing == Standing::Active && it.volume.is_none_or(|volume| !volume.nearly_full)
        };
        prop_assert_eq!(placed, loads.iter().any(has_place));
        let has_room = capacity.to_move <= capacity.room;
        prop_assert_eq!(capacity.suffices(), has_room && !capacity.nobody_takes);
    }
}
