//! Whatever was accepted and not delivered is there, once, after any power cut.

use std::collections::HashSet;

use segments::sim::{Rng, SimDisk};
use wire::ids::AccountId;

use super::support::*;
use crate::spool::{EntryId, Job, Outcome, Spool, Target};

/// Messages as a sender sees them.
#[derive(Default)]
struct Sender {
    next: u64,
    accepted: HashSet<u64>,
    unknown: HashSet<u64>,
}

impl Sender {
    async fn send(&mut self, spool: &Spool, rng: &mut Rng, cut: Option<&SimDisk>) {
        let mut under_way = Vec::new();
        for _ in 0..rng.below(8) {
            let number = self.next;
            self.next += 1;
            self.unknown.insert(number);
            let new = message(number, rng.below(3000) as usize, &[number, number + 1]);
            let spool = spool.clone();
            under_way.push((number, tokio::spawn(async move { spool.accept(new).await })));
        }
        if let Some(sim) = cut {
            tokio::task::yield_now().await;
            sim.power_cut();
        }
        for (number, answer) in under_way {
            if answer.await.unwrap().is_ok() {
                self.unknown.remove(&number);
                self.accepted.insert(number);
            }
        }
    }

    /// What the spool must hold after a restart, and what it may hold.
    fn check(&self, spool: &Spool, delivered: &HashSet<(u64, AccountId)>) {
        let held = spool.list(EntryId(0), usize::MAX, |_| true);
        let mut seen = HashSet::new();
        for entry in &held {
            let number = number(entry);
            assert!(seen.insert(number), "message {number} is there twice");
            let known = self.accepted.contains(&number) || self.unknown.contains(&number);
            assert!(known, "message {number} was never sent");
        }
        for number in &self.accepted {
            let has = |of: u64| delivered.contains(&(*number, account(of)));
            let done = has(*number) && has(number + 1);
            assert!(done || seen.contains(number), "message {number} is lost");
        }
    }
}

async fn run(seed: u64) {
    let (sim, time) = (SimDisk::new(seed), Time::new());
    let mut rng = Rng::new(seed ^ 0xabcd);
    let mut sender = Sender::default();
    let mut delivered = HashSet::new();
    for _ in 0..5 {
        let spool = open(&sim, &time);
        sender.check(&spool, &delivered);
        let odds = 1 + rng.below(4);
        let script = move |job: &Job, _: &Target, before| match (number(&job.entry)
            + u64::from(before))
            % odds
        {
            0 => Outcome::Done,
            _ => Outcome::Retry("away".to_owned()),
        };
        let shards = Shards::new(&time, script);
        let (shutdown, running) = start(&spool, &shards);
        for _ in 0..rng.below(5) {
            sender.send(&spool, &mut rng, None).await;
            let pause = rng.below(200_000);
            time.pass(&spool, pause).await;
        }
        sender.send(&spool, &mut rng, Some(&sim)).await;
        shutdown.trigger();
        running.await.unwrap();
        delivered.extend(shards.delivered.lock().keys());
    }
}

#[tokio::test]
async fn keeps_what_was_accepted() {
    let only = std::env::var("BUZONERA_SEED")
        .ok()
        .map(|seed| seed.parse().unwrap());
    for seed in only.map_or(0..60, |seed: u64| seed..seed + 1) {
        let outcome = tokio::spawn(run(seed)).await;
        assert!(
            outcome.is_ok(),
            "replay with BUZONERA_SEED={seed}: {outcome:?}"
        );
    }
}
