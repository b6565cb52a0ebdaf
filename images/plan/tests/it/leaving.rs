//! What a plan does first, and what it leaves out.

use buzonera_plan::{Standing, Why};

use crate::sim::{Sim, id, limits};

/// Three shards with so many accounts of 100 octets.
fn sim(accounts: [u64; 3]) -> Sim {
    let mut sim = Sim::default();
    for (at, accounts) in accounts.into_iter().enumerate() {
        let shard = sim.shard(["a", "b", "c"][at]);
        let ids = (0..accounts).map(|number| id(10_000 * at as u64 + number));
        shard.accounts = ids.map(|id| (id, 100)).collect();
    }
    sim
}

fn told(sim: &Sim) -> Vec<(String, String, Why, u64)> {
    let flows = sim.plan(&limits(10)).into_iter();
    flows
        .map(|flow| {
            let (from, to) = (flow.from.to_string(), flow.to.to_string());
            (from, to, flow.why, flow.accounts)
        })
        .collect()
}

fn flow(from: &str, to: &str, why: Why, accounts: u64) -> (String, String, Why, u64) {
    (from.to_owned(), to.to_owned(), why, accounts)
}

#[test]
fn a_shard_that_is_to_be_empty_goes_before_one_that_has_too_much() {
    let mut sim = sim([1_000, 2_000, 0]);
    sim.shard("a").standing = Standing::Leaving;
    // The targets are 1,500: half the band of c is filled by a, and the rest by b.
    let expected = [
        flow("a", "c", Why::Leaving, 1_000),
        flow("b", "c", Why::Uneven, 350),
    ];
    assert_eq!(told(&sim), expected);
}

#[test]
fn what_goes_to_or_from_a_shard_that_is_away_waits_for_it() {
    let mut sim = sim([900, 900, 0]);
    let both = [
        flow("a", "c", Why::Uneven, 270),
        flow("b", "c", Why::Uneven, 270),
    ];
    assert_eq!(told(&sim), both);
    sim.shard("a").serving = false;
    assert_eq!(told(&sim), both[1..]);
    sim.shard("c").serving = false;
    assert_eq!(told(&sim), []);
}

#[test]
fn a_cordoned_shard_keeps_what_it_has() {
    let mut sim = sim([900, 900, 0]);
    sim.shard("a").standing = Standing::Cordoned;
    assert_eq!(told(&sim), [flow("b", "c", Why::Uneven, 405)]);
}

#[test]
fn nothing_leaves_when_there_is_no_room_elsewhere() {
    let mut sim = sim([900, 900, 900]);
    sim.shard("a").standing = Standing::Leaving;
    // 15 % of the volumes stay free.
    sim.shard("b").size = 105_883;
    sim.shard("c").size = 105_883;
    let capacity = sim.balance().capacity();
    assert_eq!((capacity.to_move, capacity.room), (90_000, 0));
    assert_eq!(told(&sim), []);
    // A copy wants twice its size.
    sim.shard("c").size = 130_000;
    assert_eq!(told(&sim), [flow("a", "c", Why::Leaving, 102)]);
}

#[test]
fn a_volume_above_85_percent_gives_until_it_is_at_80() {
    let mut sim = sim([900, 900, 900]);
    sim.shard("a").size = 100_000;
    assert_eq!(
        told(&sim),
        [flow("a", "b", Why::Full, 50), flow("a", "c", Why::Full, 50)]
    );
    sim.settle(&limits(10));
    assert_eq!(sim.shards.values().next().unwrap().used(), 80.0);
    // Now it is below the others by more than is tolerated, and still gets nothing back.
    assert_eq!(sim.plan(&limits(1)), []);
    sim.shard("a").size = 95_000;
    sim.shard("a").standing = Standing::Cordoned;
    assert_eq!(told(&sim), []);
    sim.shard("a").size = 94_000;
    assert_eq!(told(&sim).len(), 2);
}
