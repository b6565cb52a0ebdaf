//! Plans that are carried out again and again come to an end: each step makes something better and
//! nothing worse.

use std::collections::HashSet;

use buzonera_plan::{Balance, Flow, Standing, Why};
use proptest::prelude::*;
use wire::ids::AccountId;

use crate::sim::{Sim, SimShard, id, limits, name};

/// More rounds than any of these clusters needs.
const MANY: usize = 500;

fn sims() -> impl Strategy<Value = Sim> {
    let standing = prop_oneof![
        5 => Just(Standing::Active),
        1 => Just(Standing::Cordoned),
        1 => Just(Standing::Leaving),
    ];
    let bytes = prop_oneof![
        2 => Just(0u64),
        5 => 1u64..1_000,
        2 => 1_000u64..100_000,
        1 => 100_000u64..2_000_000,
    ];
    let accounts = prop::collection::vec(bytes, 0..40);
    // From a volume that is nearly full to one with much room.
    let shard = (
        standing,
        prop::bool::weighted(0.9),
        1u32..400,
        101u64..1_000,
        accounts,
    );
    prop::collection::vec(shard, 1..7).prop_map(|shards| {
        let mut sim = Sim::default();
        let mut next = 0;
        for (at, (standing, serving, weight, size, accounts)) in shards.into_iter().enumerate() {
            let mut shard = SimShard {
                standing,
                serving,
                weight,
                ..SimShard::empty()
            };
            for bytes in accounts {
                next += 1;
                shard.accounts.insert(id(next), bytes);
            }
            shard.size = shard.bytes().max(1_000) / 100 * size;
            sim.shards.insert(name(&format!("s-{at}")), shard);
        }
        sim
    })
}

/// What has to hold of one account that goes.
fn check(before: &Sim, after: &Sim, flow: &Flow, account: AccountId) -> Result<(), TestCaseError> {
    let bytes = before.shards[&flow.from].accounts[&account];
    let (from, to) = (&before.shards[&flow.from], &before.shards[&flow.to]);
    prop_assert!(from.serving && to.serving, "{flow:?}");
    prop_assert_eq!(to.standing, Standing::Active);
    prop_assert!(
        to.bytes() + 2 * bytes <= to.size - to.size * 15 / 100,
        "no room: {flow:?}"
    );
    prop_assert!(after.shards[&flow.to].used() <= 85.0);
    match flow.why {
        Why::Leaving => prop_assert_eq!(from.standing, Standing::Leaving),
        Why::Full => {
            prop_assert!(bytes > 0 && from.used() > 80.0, "{flow:?} {}", from.used());
        }
        Why::Uneven => prop_assert!(after.phi() < before.phi(), "{flow:?}"),
    }
    Ok(())
}

/// One round; how many moved.
fn round(sim: &mut Sim, balance: &mut Balance, flows: &[Flow]) -> Result<usize, TestCaseError> {
    let mut moved = HashSet::new();
    for flow in flows {
        // As they were told at first: what was picked for another flow is among them.
        let told = sim.sizes(&flow.from, &HashSet::new());
        for account in balance.pick(flow, &told, usize::MAX).accounts {
            let before = sim.clone();
            sim.carry(account, flow);
            check(&before, sim, flow, account)?;
            prop_assert!(moved.insert(account), "twice: {account}");
        }
    }
    Ok(moved.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn in_a_state_that_needs_no_plan(mut sim in sims(), tolerance in 1u32..51) {
        for _ in 0..MANY {
            let mut balance = sim.balance();
            let flows = balance.plan(&limits(tolerance));
            if round(&mut sim, &mut balance, &flows)? == 0 {
                // What is left cannot be done: accounts are too large for the room there is, or it is
                // for the sake of what a shard that is away will give some day.
                let away = sim.shards.values().any(|it| !it.serving);
                let uneven = flows.iter().any(|flow| flow.why == Why::Uneven);
                prop_assert!(away || !uneven, "{flows:?}");
                return Ok(());
            }
        }
        prop_assert!(false, "still not over: {sim:?}");
    }

    #[test]
    fn a_shard_that_leaves_is_empty_in_the_end(mut sim in sims(), tolerance in 1u32..51) {
        // One shard has room for everything, if only beyond its target.
        let all: u64 = sim.shards.values().map(SimShard::bytes).sum();
        for shard in sim.shards.values_mut() {
            shard.serving = true;
        }
        let roomy = sim.shard("s-0");
        roomy.standing = Standing::Active;
        roomy.size = (all + 1_000) * 20;
        for _ in 0..MANY {
            let mut balance = sim.balance();
            let flows = balance.plan(&limits(tolerance));
            if round(&mut sim, &mut balance, &flows)? == 0 {
                break;
            }
        }
        let leaving = sim.shards.values().filter(|it| it.standing == Standing::Leaving);
        let left: usize = leaving.map(|it| it.accounts.len()).sum();
        prop_assert_eq!(left, 0, "{:?}", sim);
    }

    #[test]
    fn no_account_is_picked_twice(sim in sims(), tolerance in 1u32..51) {
        let mut balance = sim.balance();
        let mut picked = HashSet::new();
        for flow in balance.plan(&limits(tolerance)) {
            let sizes = sim.sizes(&flow.from, &HashSet::new());
            for account in balance.pick(&flow, &sizes, usize::MAX).accounts {
                prop_assert!(picked.insert(account));
            }
        }
    }

    #[test]
    fn whoever_moved_lately_stays_unless_its_shard_leaves(sim in sims(), tolerance in 1u32..51) {
        let all: HashSet<_> = sim.shards.values().flat_map(|it| it.accounts.keys().copied()).collect();
        let mut balance = sim.balance();
        for flow in balance.plan(&limits(tolerance)) {
            let picked = balance.pick(&flow, &sim.sizes(&flow.from, &all), usize::MAX).accounts;
            prop_assert!(picked.is_empty() || flow.why == Why::Leaving);
        }
    }
}
