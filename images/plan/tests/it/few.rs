//! With few accounts whole ones move, and only if that is better than none.

use buzonera_plan::Why;

use crate::sim::{Sim, id, limits};

/// Shards with so many empty accounts.
fn sim(accounts: &[u64]) -> Sim {
    let mut sim = Sim::default();
    for (at, accounts) in accounts.iter().enumerate() {
        let ids = (0..*accounts).map(|number| id(1_000 * at as u64 + number));
        sim.shard(&format!("s-{at}")).accounts = ids.map(|id| (id, 0)).collect();
    }
    sim
}

fn settled(accounts: &[u64]) -> Vec<usize> {
    let mut sim = sim(accounts);
    sim.settle(&limits(10));
    assert_eq!(sim.plan(&limits(10)), []);
    sim.shards.values().map(|it| it.accounts.len()).collect()
}

#[test]
fn one_that_has_too_much_gives_whole_accounts() {
    assert_eq!(
        settled(&[14, 10, 10, 9, 9, 9, 9]),
        [11, 10, 10, 10, 10, 10, 9]
    );
}

#[test]
fn one_that_has_too_little_gets_whole_accounts() {
    assert_eq!(settled(&[7, 11, 11, 11, 10, 10]), [9, 10, 10, 11, 10, 10]);
}

#[test]
fn what_cannot_be_more_even_stays() {
    for accounts in [&[2, 1][..], &[1, 0, 0], &[11, 10, 10, 10]] {
        assert_eq!(
            settled(accounts).iter().sum::<usize>() as u64,
            accounts.iter().sum()
        );
        assert_eq!(sim(accounts).plan(&limits(1)), []);
    }
    assert_eq!(settled(&[2, 0]), [1, 1]);
    assert_eq!(settled(&[3, 1]), [2, 2]);
}

#[test]
fn an_old_plan_does_nothing_that_is_not_better_now() {
    let mut sim = sim(&[20, 0]);
    let flows = sim.plan(&limits(10));
    assert_eq!((flows.len(), flows[0].why), (1, Why::Uneven));
    let accounts = sim.sizes(&flows[0].from, &Default::default());
    let picked = |sim: &Sim| {
        sim.balance()
            .pick(&flows[0], &accounts, usize::MAX)
            .accounts
            .len()
    };
    assert_eq!(picked(&sim), 9);
    // Meanwhile the other one got some.
    let ids = (5_000..5_016).map(|number| (id(number), 0));
    sim.shard("s-1").accounts = ids.collect();
    assert_eq!(picked(&sim), 2);
    sim.shard("s-1").serving = false;
    assert_eq!(picked(&sim), 0);
}
