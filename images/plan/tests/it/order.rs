//! The order in which loads, moves and accounts are told is nothing to a plan.

use buzonera_plan::{AccountSize, Balance, Hold, Load, OpenMove, Standing, Volume};
use proptest::prelude::*;

use crate::sim::{id, limits, name};

fn loads() -> impl Strategy<Value = Vec<Load>> {
    let standing = prop_oneof![
        4 => Just(Standing::Active),
        1 => Just(Standing::Cordoned),
        1 => Just(Standing::Leaving),
    ];
    // Few different numbers, so that there are ties.
    let load = (standing, 1u32..3, 0u64..5, 0u64..4, 1u64..4);
    prop::collection::vec(load, 1..7).prop_map(|loads| {
        let load = |(at, (standing, weight, accounts, bytes, size)): (usize, (_, _, _, _, u64))| {
            let size = size * 1_000_000;
            Load {
                shard: name(&format!("s-{at}")),
                standing,
                serving: true,
                weight,
                accounts: accounts * 50,
                bytes: bytes * 200_000,
                volume: Some(Volume {
                    size,
                    free: size.saturating_sub(bytes * 200_000),
                    nearly_full: false,
                }),
            }
        };
        loads.into_iter().enumerate().map(load).collect()
    })
}

fn moves() -> impl Strategy<Value = Vec<OpenMove>> {
    let open = (0usize..7, 0usize..7, prop::option::of(0u64..10_000));
    let open = open.prop_map(|(from, to, bytes)| OpenMove {
        from: name(&format!("s-{from}")),
        to: name(&format!("s-{to}")),
        bytes,
    });
    prop::collection::vec(open, 0..6)
}

proptest! {
    #[test]
    fn of_loads_and_moves(
        (loads, told) in loads().prop_flat_map(|it| (Just(it.clone()), Just(it).prop_shuffle())),
        (open, open_told) in moves().prop_flat_map(|it| (Just(it.clone()), Just(it).prop_shuffle())),
        tolerance in 1u32..51,
    ) {
        let plan = buzonera_plan::plan(&loads, &open, &limits(tolerance));
        prop_assert_eq!(plan, buzonera_plan::plan(&told, &open_told, &limits(tolerance)));
    }

    #[test]
    fn of_accounts(
        (accounts, told) in prop::collection::vec(0u64..100_000, 1..60).prop_flat_map(|sizes| {
            let account = |(at, bytes)| AccountSize { account: id(at as u64), bytes, hold: Hold::Free };
            let accounts: Vec<_> = sizes.into_iter().enumerate().map(account).collect();
            (Just(accounts.clone()), Just(accounts).prop_shuffle())
        }),
    ) {
        let volume = Volume { size: 1 << 40, free: 1 << 39, nearly_full: false };
        let load = |shard: &str, accounts: u64, bytes| Load {
            shard: name(shard),
            standing: Standing::Active,
            serving: true,
            weight: 1,
            accounts,
            bytes,
            volume: Some(volume),
        };
        let bytes = accounts.iter().map(|it| it.bytes).sum();
        let loads = [load("a", accounts.len() as u64, bytes), load("b", 0, 0)];
        let picked = |accounts: &[AccountSize]| {
            let mut balance = Balance::of(&loads, &[]);
            let flows = balance.plan(&limits(10));
            flows.iter().map(|flow| balance.pick(flow, accounts, usize::MAX).accounts).collect::<Vec<_>>()
        };
        prop_assert_eq!(picked(&accounts), picked(&told));
    }
}
