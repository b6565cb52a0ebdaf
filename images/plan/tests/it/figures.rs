//! The planner's own figures: what is moved when a cluster grows, shrinks or has weights.

use buzonera_plan::{Standing, Why};

use crate::sim::{Sim, limits, name};

/// Numbers that look drawn and are the same each time (splitmix64).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Above 0, 1 at most.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 1.0) / (1u64 << 53) as f64
    }

    /// A third of accounts is empty; the others are spread widely around 60 kB, up to 126 MB: the
    /// accounts of a large provider.
    fn size(&mut self) -> u64 {
        if self.unit() < 0.355 {
            return 0;
        }
        let normal = (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos();
        (60_000.0_f64.ln() + 2.2 * normal).exp().min(126e6) as u64
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("s-{number:03}")).collect()
}

/// So many shards with so many accounts each, and more shards that are empty.
fn grown(shards: usize, each: u64, new: usize) -> Sim {
    let mut draws = Draws(7);
    let mut sim = Sim::with(&names(shards), each, || draws.size());
    for name in names(shards + new) {
        sim.shard(&name);
    }
    sim
}

fn near(value: f64, expected: f64, by: f64) -> bool {
    (value - expected).abs() <= by
}

#[test]
fn three_shards_share_what_two_had_and_get_it_back() {
    let names: Vec<_> = ["a", "b"].map(str::to_owned).into();
    let mut sim = Sim::with(&names, 60, || 100_000_000);
    sim.shard("c");
    let flows = sim.plan(&limits(10));
    let told: Vec<_> = flows
        .iter()
        .map(|flow| {
            (
                flow.from.as_str(),
                flow.to.as_str(),
                flow.share,
                flow.accounts,
                flow.bytes,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("a", "c", 150_000_000_000, 18, 1_800_000_000),
            ("b", "c", 150_000_000_000, 18, 1_800_000_000),
        ]
    );
    let done = sim.settle(&limits(10));
    assert_eq!((done.moves, done.rounds), (36, 1));
    let held = |sim: &Sim| -> Vec<_> { sim.shards.values().map(|it| it.accounts.len()).collect() };
    assert_eq!(held(&sim), [42, 42, 36]);

    sim.shard("c").standing = Standing::Leaving;
    let flows = sim.plan(&limits(10));
    let told: Vec<_> = flows
        .iter()
        .map(|flow| (flow.to.as_str(), flow.accounts))
        .collect();
    assert_eq!(told, [("a", 18), ("b", 18)]);
    assert!(flows.iter().all(|flow| flow.why == Why::Leaving));
    let done = sim.settle(&limits(10));
    assert_eq!((done.moves, done.rounds), (36, 1));
    assert_eq!(held(&sim), [60, 60, 0]);
}

#[test]
fn four_shards_become_six() {
    let mut sim = grown(4, 50_000, 2);
    let done = sim.settle(&limits(10));
    assert!(near(done.moves as f64, 60_500.0, 1_250.0), "{done:?}");
    assert_eq!(done.again, 0);
    let percents = sim.percents();
    assert!(
        percents[..4].iter().all(|it| near(*it, 17.5, 0.15)),
        "{percents:?}"
    );
    assert!(
        percents[4..].iter().all(|it| near(*it, 15.0, 0.1)),
        "{percents:?}"
    );

    let done = grown(4, 50_000, 2).settle(&limits(5));
    assert!(near(done.moves as f64, 63_700.0, 1_250.0), "{done:?}");
}

#[test]
fn a_shard_of_twice_the_weight_gets_twice_as_much() {
    let mut sim = grown(3, 20_000, 0);
    sim.shard("s-002").weight = 200;
    let done = sim.settle(&limits(10));
    // How many it takes depends on which of the few large ones are among them.
    assert!(near(done.moves as f64, 7_743.0, 750.0), "{done:?}");
    let percents = sim.percents();
    assert!(
        percents[..2].iter().all(|it| near(*it, 27.5, 0.2)),
        "{percents:?}"
    );
    assert!(near(percents[2], 45.0, 0.2), "{percents:?}");
}

#[test]
fn a_hundred_shards_become_a_hundred_and_ten() {
    let mut sim = grown(100, 500, 10);
    let done = sim.settle(&limits(10));
    assert!(done.rounds <= 3, "{done:?}");
    assert_eq!(done.again, 0);
    let percents = sim.percents();
    let target = 100.0 / 110.0;
    let mean_account = target / 450.0;
    for percent in &percents {
        assert!(
            near(*percent, target, target / 10.0 + 2.0 * mean_account),
            "{percents:?}"
        );
    }
    assert!(sim.plan(&limits(10)).is_empty());
}

#[test]
fn what_an_empty_shard_gets_is_a_fair_sample() {
    let mut sim = grown(4, 10_000, 1);
    let mean = |sim: &Sim, shard: &str| {
        let shard = &sim.shards[&name(shard)];
        shard.bytes() as f64 / shard.accounts.len() as f64
    };
    let before = mean(&sim, "s-000");
    sim.settle(&limits(10));
    let after = mean(&sim, "s-004");
    assert!(near(after, before, before / 5.0), "{before} {after}");
}
