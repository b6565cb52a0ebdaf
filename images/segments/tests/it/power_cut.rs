//! Random work with power cuts at random points: what was acknowledged is there, once, in order.

use std::panic::{AssertUnwindSafe, catch_unwind};

use segments::sim::{Rng, SimDisk};
use segments::{Log, Ticket};

use crate::support::{for_seeds, number_of, numbered, open};

/// What must be true of one disk over its boots.
struct Run {
    sim: SimDisk,
    rng: Rng,
    /// Numbers in the order of submission, beginning with those the last boot found.
    submitted: Vec<u64>,
    /// How many of them, from the first on, were acknowledged.
    acknowledged: usize,
    next: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        Self {
            sim: SimDisk::new(seed),
            rng: Rng::new(seed ^ 0xfeed),
            submitted: Vec::new(),
            acknowledged: 0,
            next: 0,
        }
    }

    /// Opens, compares with what must be there, works, and pulls the plug.
    fn boot(&mut self) {
        let (log, found) = open(&self.sim).unwrap();
        for (at, record) in &found {
            assert_eq!(log.read(*at).unwrap().payload(), record.payload());
        }
        let found: Vec<_> = found.iter().map(|(_, record)| number_of(record)).collect();
        assert!(found.len() >= self.acknowledged, "lost: {found:?}");
        assert_eq!(found, self.submitted[..found.len()], "in order, once");
        self.acknowledged = found.len();
        self.submitted = found;
        let tickets = self.work(&log);
        self.end(tickets);
    }

    /// Submits some bursts; waits for all of some, and leaves the last ones in flight.
    fn work(&mut self, log: &Log) -> Vec<Ticket> {
        let mut tickets = Vec::new();
        for _ in 0..self.rng.below(6) {
            for _ in 0..self.rng.below(12) {
                let length = self.rng.below(3000) as usize;
                let ticket = log.submit(numbered(self.next, length)).unwrap();
                self.submitted.push(self.next);
                self.next += 1;
                tickets.push(ticket);
            }
            match self.rng.below(4) {
                0 => self.sim.hold_syncs(),
                1 => drop(log.seal().unwrap()),
                _ => {}
            }
            if self.rng.one_in(2) {
                self.sim.release_syncs();
                self.count(std::mem::take(&mut tickets));
            }
        }
        tickets
    }

    /// Pulls the plug, sometimes while all is in flight, sometimes when all is done.
    fn end(&mut self, tickets: Vec<Ticket>) {
        if self.rng.one_in(3) {
            self.sim.release_syncs();
            self.count(tickets);
            self.sim.power_cut();
        } else {
            self.sim.power_cut();
            self.count(tickets);
        }
    }

    /// Tickets succeed in order: a failed one is followed by none that succeeds.
    fn count(&mut self, tickets: Vec<Ticket>) {
        let kept = tickets.into_iter().map(|ticket| ticket.wait().is_ok());
        let kept: Vec<_> = kept.collect();
        assert!(kept.is_sorted_by(|a, b| a >= b), "out of order: {kept:?}");
        self.acknowledged += kept.iter().filter(|kept| **kept).count();
    }
}

fn run(seed: u64) {
    let mut run = Run::new(seed);
    for _ in 0..6 {
        run.boot();
    }
}

#[test]
fn keeps_what_was_acknowledged() {
    for_seeds(300, run);
}

#[test]
fn without_syncs_losses_are_seen() {
    let lost = (0..20).filter(|seed| {
        let lying = || {
            let mut run = Run::new(*seed);
            run.sim.lie_about_syncs(true);
            for _ in 0..6 {
                run.boot();
            }
        };
        catch_unwind(AssertUnwindSafe(lying)).is_err()
    });
    assert!(lost.count() > 10, "a disk that skips syncs goes unnoticed");
}
