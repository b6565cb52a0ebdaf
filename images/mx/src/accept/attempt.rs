//! Trying the shards, and waiting for one that has just gone.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use wire::ids::ShardName;

use crate::deliver::{Copy, Fate, Parcel, WaitingPlace};
use crate::session::Protocol;
use crate::shared::Server;
use crate::spool::{Gate, NoAnswer, Round};

impl Server {
    /// Tries every copy that it makes sense to try. What a shard that has just gone was to get waits
    /// for it, within bounds of memory and time. One fate per copy, in order.
    pub(super) async fn attempt(
        &self,
        protocol: Protocol,
        parcel: &Parcel,
        copies: &[Copy],
        deadline: Instant,
    ) -> Vec<Fate> {
        let mut attempt = Attempt {
            server: self,
            protocol,
            parcel,
            copies,
            deadline,
            fates: copies.iter().map(untried).collect(),
            places: HashMap::new(),
        };
        attempt.run().await;
        attempt.fates
    }
}

/// A message on its way to its shards.
struct Attempt<'a> {
    server: &'a Server,
    protocol: Protocol,
    parcel: &'a Parcel,
    copies: &'a [Copy],
    deadline: Instant,
    fates: Vec<Fate>,
    /// The message's places in the rooms of shards that it waits for; none: there was none.
    places: HashMap<ShardName, Option<WaitingPlace>>,
}

/// What is to be done with the copies that are open.
#[derive(Default)]
struct Sorted {
    try_now: Vec<usize>,
    wait: Vec<usize>,
    /// In which round each shard is tried.
    rounds: HashMap<ShardName, Round>,
    /// When to look again, milliseconds since 1970.
    until_ms: Option<i64>,
}

impl Attempt<'_> {
    async fn run(&mut self) {
        let stale = |at: &usize| !self.copies[*at].target.stale;
        let mut open: Vec<usize> = (0..self.copies.len()).filter(stale).collect();
        let mut is_first = true;
        let mut returns = self.server.spool.returns();
        while !open.is_empty() {
            returns.mark_unchanged();
            let sorted = self.sort(&open, is_first);
            open = sorted.wait;
            if !sorted.try_now.is_empty() {
                let again = self.deliver(sorted.try_now, &sorted.rounds, is_first).await;
                open.extend(again);
            } else if !open.is_empty() && !self.pause(&mut returns, sorted.until_ms).await {
                return;
            }
            is_first = false;
        }
    }

    /// Which copies may go now, and which wait. The others have their fate.
    fn sort(&mut self, open: &[usize], is_first: bool) -> Sorted {
        let mut sorted = Sorted::default();
        let mut gates: HashMap<ShardName, Gate> = HashMap::new();
        for &at in open {
            let shard = self.copies[at].target.shard.clone();
            let gate = gates.entry(shard.clone());
            let patience = self.server.timeouts.wait_for_shard;
            let gate = *gate.or_insert_with(|| self.server.spool.gate(&shard, patience));
            match gate {
                Gate::Here(round) | Gate::Probe(round) => sorted.go(at, shard, round),
                Gate::Soon(until_ms) if self.has_place(&shard) => {
                    sorted.wait.push(at);
                    let first = sorted
                        .until_ms
                        .map_or(until_ms, |other| other.min(until_ms));
                    sorted.until_ms = Some(first);
                }
                Gate::Shut(round) if is_first && self.must_ask(&shard) => {
                    sorted.go(at, shard, round);
                }
                Gate::Soon(_) | Gate::Shut(_) => self.give_up(at, shard),
            }
        }
        sorted
    }

    /// Nobody else asks a shard that is away for long: LMTP has no spool to fall back on, and where
    /// nothing waits in the spool nothing probes.
    fn must_ask(&self, shard: &ShardName) -> bool {
        match self.protocol {
            Protocol::Lmtp => true,
            Protocol::Smtp => !self.server.spool.is_pending(shard),
        }
    }

    fn has_place(&mut self, shard: &ShardName) -> bool {
        let (server, octets) = (self.server, self.parcel.body.size());
        let place = self.places.entry(shard.clone());
        let place = place.or_insert_with(|| {
            let place = server.waiting.enter(shard, octets);
            server.metrics.waited(match &place {
                Some(_) => "waited",
                None => "no_room",
            });
            place
        });
        place.is_some()
    }

    /// What it met last stays its fate.
    fn give_up(&mut self, at: usize, shard: ShardName) {
        if let Fate::Pending(_) = self.fates[at] {
            self.fates[at] = Fate::Away {
                shard,
                how: NoAnswer::Refused,
                reason: "the shard is away".into(),
            };
        }
    }

    /// Brings copies to their shards; gives those whose shards did not answer.
    async fn deliver(
        &mut self,
        now: Vec<usize>,
        rounds: &HashMap<ShardName, Round>,
        is_first: bool,
    ) -> Vec<usize> {
        let copies: Vec<_> = now.iter().map(|&at| self.copy(at, is_first)).collect();
        let delivered = self
            .server
            .courier
            .deliver(self.parcel, &copies, self.deadline);
        let mut again = Vec::new();
        for (at, fate) in now.into_iter().zip(delivered.await) {
            match &fate {
                Fate::Away { shard, how, reason } => {
                    let round = rounds.get(shard).copied();
                    self.server.spool.note_absence(shard, (round, *how), reason);
                    again.push(at);
                }
                Fate::Stored(_) | Fate::Duplicate(_) => {
                    let shard = &self.copies[at].target.shard;
                    if rounds.get(shard).is_some_and(|round| round.was_away()) {
                        self.server.spool.note_presence(shard);
                    }
                }
                Fate::Gone | Fate::Never(_) | Fate::Pending(_) => {}
            }
            self.fates[at] = fate;
        }
        again
    }

    /// A copy with its newest way: a shard that is back may be elsewhere.
    fn copy(&self, at: usize, is_first: bool) -> Copy {
        let mut copy = self.copies[at].clone();
        let told = self.server.spool.endpoint(&copy.target.shard);
        if let Some(endpoint) = told.filter(|_| !is_first) {
            copy.target.endpoint = endpoint;
        }
        copy
    }

    /// Waits until a shard is back or worth a try; false: there is no more time.
    async fn pause(&self, returns: &mut watch::Receiver<u64>, until_ms: Option<i64>) -> bool {
        let now_ms = self.server.spool.clock().now();
        let wait_ms = until_ms.map_or(LOOK_AGAIN_MS, |until| until - now_ms);
        let wait = Duration::from_millis(wait_ms.clamp(1, LOOK_AGAIN_MS).unsigned_abs());
        let until = (Instant::now() + wait).min(self.deadline);
        // Either is a reason to look again.
        let _ = timeout_at(until, returns.changed()).await;
        Instant::now() < self.deadline
    }
}

impl Sorted {
    fn go(&mut self, at: usize, shard: ShardName, round: Round) {
        self.try_now.push(at);
        self.rounds.insert(shard, round);
    }
}

/// A clock that was set makes nobody wait for longer.
const LOOK_AGAIN_MS: i64 = 1000;

/// When a route is only remembered, nobody answers who could correct it: the copy goes to the spool
/// at once.
fn untried(copy: &Copy) -> Fate {
    Fate::Pending(match copy.target.stale {
        true => "no directory replica answers".into(),
        false => "not tried".into(),
    })
}
