//! A cluster in memory: plans are made for it, and carried out.

use std::collections::{BTreeMap, HashSet};

use buzonera_plan::{AccountSize, Balance, Flow, Hold, Limits, Load, Standing, Volume, WHOLE};
use wire::ids::{AccountId, ShardName};

/// Shards by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sim {
    pub(crate) shards: BTreeMap<ShardName, SimShard>,
}

#[derive(Debug, Clone)]
pub(crate) struct SimShard {
    pub(crate) standing: Standing,
    pub(crate) serving: bool,
    pub(crate) weight: u32,
    pub(crate) size: u64,
    pub(crate) accounts: BTreeMap<AccountId, u64>,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Done {
    pub(crate) moves: usize,
    pub(crate) bytes: u64,
    pub(crate) rounds: usize,
    /// Accounts that moved more than once.
    pub(crate) again: usize,
}

pub(crate) fn limits(tolerance_percent: u32) -> Limits {
    Limits { tolerance_percent }
}

pub(crate) fn name(text: &str) -> ShardName {
    text.parse().unwrap()
}

pub(crate) fn id(number: u64) -> AccountId {
    let mut octets = [0; 16];
    octets[..8].copy_from_slice(&number.to_be_bytes());
    AccountId::from_bytes(octets)
}

impl SimShard {
    /// An empty one with more room than any test fills.
    pub(crate) fn empty() -> Self {
        Self {
            standing: Standing::Active,
            serving: true,
            weight: 100,
            size: 1 << 50,
            accounts: BTreeMap::new(),
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.accounts.values().sum()
    }

    /// In percent, with a fraction.
    pub(crate) fn used(&self) -> f64 {
        100.0 * self.bytes() as f64 / self.size as f64
    }
}

impl Sim {
    /// Shards of these names with so many accounts each, of sizes that `size` tells.
    pub(crate) fn with(names: &[String], each: u64, mut size: impl FnMut() -> u64) -> Self {
        let mut sim = Self::default();
        for (at, text) in names.iter().enumerate() {
            let mut shard = SimShard::empty();
            for number in 0..each {
                shard.accounts.insert(id(at as u64 * each + number), size());
            }
            sim.shards.insert(name(text), shard);
        }
        sim
    }

    pub(crate) fn shard(&mut self, text: &str) -> &mut SimShard {
        self.shards
            .entry(name(text))
            .or_insert_with(SimShard::empty)
    }

    pub(crate) fn loads(&self) -> Vec<Load> {
        let load = |(name, shard): (&ShardName, &SimShard)| Load {
            shard: name.clone(),
            standing: shard.standing,
            serving: shard.serving,
            weight: shard.weight,
            accounts: shard.accounts.len() as u64,
            bytes: shard.bytes(),
            volume: Some(Volume {
                size: shard.size,
                free: shard.size.saturating_sub(shard.bytes()),
                nearly_full: shard.used() > 95.0,
            }),
        };
        self.shards.iter().map(load).collect()
    }

    pub(crate) fn balance(&self) -> Balance {
        Balance::of(&self.loads(), &[])
    }

    pub(crate) fn plan(&self, limits: &Limits) -> Vec<Flow> {
        self.balance().plan(limits)
    }

    /// The accounts of a shard; those in `held` have just moved.
    pub(crate) fn sizes(&self, shard: &ShardName, held: &HashSet<AccountId>) -> Vec<AccountSize> {
        let size = |(account, bytes): (&AccountId, &u64)| AccountSize {
            account: *account,
            bytes: *bytes,
            hold: match held.contains(account) {
                true => Hold::MovedLately,
                false => Hold::Free,
            },
        };
        self.shards[shard].accounts.iter().map(size).collect()
    }

    pub(crate) fn carry(&mut self, account: AccountId, flow: &Flow) -> u64 {
        let from = self.shards.get_mut(&flow.from).unwrap();
        let bytes = from.accounts.remove(&account).unwrap();
        let to = self.shards.get_mut(&flow.to).unwrap();
        assert_eq!(to.accounts.insert(account, bytes), None);
        bytes
    }

    /// Plans and moves until there is nothing more to do.
    pub(crate) fn settle(&mut self, limits: &Limits) -> Done {
        let mut done = Done::default();
        let mut moved = HashSet::new();
        loop {
            let before = done.moves;
            let mut balance = self.balance();
            for flow in balance.plan(limits) {
                let sizes = self.sizes(&flow.from, &HashSet::new());
                for account in balance.pick(&flow, &sizes, usize::MAX).accounts {
                    done.bytes += self.carry(account, &flow);
                    done.moves += 1;
                    done.again += usize::from(!moved.insert(account));
                }
            }
            if done.moves == before {
                return done;
            }
            done.rounds += 1;
        }
    }

    /// Each shard's part of the load, in percent.
    pub(crate) fn percents(&self) -> Vec<f64> {
        let bars = self.balance();
        let percent = |load: i64| load as f64 * 100.0 / WHOLE as f64;
        bars.bars().map(|bar| percent(bar.load)).collect()
    }

    /// How uneven it is, reckoned another way than the planner does.
    pub(crate) fn phi(&self) -> f64 {
        let all = |of: fn(&SimShard) -> f64| self.shards.values().map(of).sum::<f64>();
        let accounts = all(|it| it.accounts.len() as f64).max(1.0);
        let bytes = all(|it| it.bytes() as f64);
        let load = |it: &SimShard| {
            let accounts = it.accounts.len() as f64 / accounts;
            match bytes > 0.0 {
                true => (accounts + it.bytes() as f64 / bytes) / 2.0,
                false => accounts,
            }
        };
        let is = |standing| {
            self.shards
                .values()
                .filter(move |it| it.standing == standing)
        };
        let kept: f64 = is(Standing::Cordoned).map(load).sum();
        let weights: f64 = is(Standing::Active).map(|it| f64::from(it.weight)).sum();
        is(Standing::Active)
            .map(|it| {
                let target = (1.0 - kept) * f64::from(it.weight) / weights;
                (load(it) - target).powi(2) / target
            })
            .sum()
    }
}
