//! A plan as it stands in the status until somebody approves it: pure.

use std::collections::BTreeMap;

use crds::mail_cluster::{self as shown, FlowReason, RebalanceStatus, Spread};
use plan::{Balance, Bar, Flow, Limits, Share, WHOLE, Why};
use wire::ids::{IdError, ShardName};

/// A status holds no more flows; the largest are told.
pub const MOST_FLOWS: usize = 64;

/// A plan that was made a while ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its id.
    pub id: String,
    /// Its flows.
    pub parts: Vec<Part>,
}

/// A flow of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The shard that gives.
    pub from: ShardName,
    /// The shard that takes.
    pub to: ShardName,
    /// What for.
    pub why: Why,
    /// How many accounts.
    pub accounts: u64,
    /// How many octets they had.
    pub bytes: u64,
    /// How many accounts were asked for since it was approved.
    pub asked: u64,
}

/// A plan as it was made now.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Its flows, the largest first.
    pub flows: Vec<Flow>,
    /// How far loads are from their shares, before and after.
    pub spread: Spread,
}

impl Plan {
    /// The plan that a status tells; none: it tells of none.
    ///
    /// # Errors
    ///
    /// It names a shard that is none: somebody else wrote it.
    pub fn read(status: &RebalanceStatus) -> Result<Option<Self>, IdError> {
        let Some(id) = status.plan.clone() else {
            return Ok(None);
        };
        let parts: Result<Vec<Part>, IdError> = status.flows.iter().map(Part::read).collect();
        Ok(Some(Self { id, parts: parts? }))
    }

    /// Whether it is still what is to be done: whether each shard would give or take about as much by
    /// a plan that was made now, give or take the tolerance and one account. It is not, either, once
    /// all are so even that no plan is needed, and by half of the tolerance none would be.
    pub fn holds(&self, balance: &Balance, limits: &Limits) -> bool {
        let half = Limits {
            tolerance_percent: limits.tolerance_percent / 2,
        };
        let bars: Vec<Bar> = balance.bars().collect();
        let is_there = |shard: &ShardName| bars.iter().any(|bar| bar.shard == *shard);
        let mut ends = self.parts.iter().flat_map(|part| [&part.from, &part.to]);
        if !ends.all(is_there) || beyond_leaving(balance.plan(&half)).is_empty() {
            return false;
        }
        let flows = self.parts.iter().map(|part| part.flow(balance));
        let told = nets(&flows.collect::<Vec<_>>());
        let wanted = nets(&beyond_leaving(balance.plan(limits)));
        let net = |of: &BTreeMap<ShardName, Share>, shard| of.get(shard).copied().unwrap_or(0);
        let one = one_account(balance);
        bars.iter().all(|bar| {
            let tolerated = bar.target.unwrap_or(0) / 100 * Share::from(limits.tolerance_percent);
            let (told, wanted) = (net(&told, &bar.shard), net(&wanted, &bar.shard));
            let differs = match self.parts.len() < MOST_FLOWS {
                true => (told - wanted).abs(),
                // Of a longer plan only a part is told: it may not be too much.
                false => (told - wanted) * told.signum(),
            };
            differs <= tolerated + one
        })
    }
}

impl Part {
    fn read(flow: &shown::Flow) -> Result<Self, IdError> {
        let number = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(Self {
            from: flow.from.parse()?,
            to: flow.to.parse()?,
            why: match flow.why {
                FlowReason::Full => Why::Full,
                FlowReason::Uneven => Why::Uneven,
            },
            accounts: number(flow.accounts),
            bytes: number(flow.bytes),
            asked: number(flow.asked.unwrap_or(0)),
        })
    }

    /// How many accounts are still to be asked for.
    pub fn left(&self) -> u64 {
        self.accounts.saturating_sub(self.asked)
    }

    /// What is still to be asked for, as a flow on these loads: for so many accounts as are left, if
    /// they are as large as the mean of their shard is now.
    pub fn rest(&self, balance: &Balance, mean: u64) -> Flow {
        let left = self.left();
        let bytes = left.saturating_mul(mean);
        balance.flow((&self.from, &self.to), self.why, left, bytes)
    }

    fn flow(&self, balance: &Balance) -> Flow {
        let ends = (&self.from, &self.to);
        balance.flow(ends, self.why, self.accounts, self.bytes)
    }
}

impl Draft {
    /// What would be done beyond emptying shards that leave; none: nothing.
    pub fn of(balance: &Balance, limits: &Limits) -> Option<Self> {
        let mut flows = beyond_leaving(balance.plan(limits));
        flows.sort_by_key(|flow| std::cmp::Reverse(flow.share));
        flows.truncate(MOST_FLOWS);
        let bars: Vec<Bar> = balance.bars().collect();
        let spread = Spread {
            before: spread(&bars, &BTreeMap::new()),
            after: spread(&bars, &nets(&flows)),
        };
        (!flows.is_empty()).then_some(Self { flows, spread })
    }

    /// As it stands in a status.
    pub fn shown(&self) -> Vec<shown::Flow> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let flows = self.flows.iter().map(|flow| shown::Flow {
            from: flow.from.to_string(),
            to: flow.to.to_string(),
            accounts: number(flow.accounts),
            bytes: number(flow.bytes),
            why: match flow.why {
                Why::Full => FlowReason::Full,
                Why::Leaving | Why::Uneven => FlowReason::Uneven,
            },
            asked: None,
        });
        flows.collect()
    }
}

/// What shards that leave give needs nobody's approval, and is no part of a plan.
pub fn beyond_leaving(mut flows: Vec<Flow>) -> Vec<Flow> {
    flows.retain(|flow| match flow.why {
        Why::Leaving => false,
        Why::Full | Why::Uneven => true,
    });
    flows
}

/// What each shard takes, or, below 0, gives.
fn nets(flows: &[Flow]) -> BTreeMap<ShardName, Share> {
    let mut nets = BTreeMap::new();
    for flow in flows {
        *nets.entry(flow.from.clone()).or_insert(0) -= flow.share;
        *nets.entry(flow.to.clone()).or_insert(0) += flow.share;
    }
    nets
}

/// The share of an account of the mean size.
fn one_account(balance: &Balance) -> Share {
    WHOLE / Share::try_from(balance.accounts().max(1)).unwrap_or(Share::MAX)
}

/// The farthest below its target and the farthest above, in thousandths of it.
fn spread(bars: &[Bar], nets: &BTreeMap<ShardName, Share>) -> [i32; 2] {
    let off = |bar: &Bar| {
        let target = bar.target.filter(|target| *target > 0)?;
        let load = bar.load + nets.get(&bar.shard).copied().unwrap_or(0);
        let (off, target) = (i128::from(load - target), i128::from(target));
        let off = (off * 2000 + target).div_euclid(target * 2);
        i32::try_from(off).ok()
    };
    let off: Vec<i32> = bars.iter().filter_map(off).collect();
    let least = off.iter().copied().min().unwrap_or(0);
    [least, off.iter().copied().max().unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use plan::{Load, Standing, Volume};

    use super::*;

    const LIMITS: Limits = Limits {
        tolerance_percent: 10,
    };

    fn balance(accounts: &[u64]) -> Balance {
        let load = |(place, accounts): (usize, &u64)| Load {
            shard: format!("a-{place}").parse().unwrap(),
            standing: Standing::Active,
            serving: true,
            weight: 100,
            accounts: *accounts,
            bytes: accounts * 100,
            volume: Some(Volume {
                size: 1 << 40,
                free: 1 << 39,
                nearly_full: false,
            }),
        };
        let loads: Vec<_> = accounts.iter().enumerate().map(load).collect();
        Balance::of(&loads, &[])
    }

    fn plan(accounts: &[u64]) -> Plan {
        let draft = Draft::of(&balance(accounts), &LIMITS).unwrap();
        let status = RebalanceStatus {
            plan: Some("7f3a".to_owned()),
            flows: draft.shown(),
            ..RebalanceStatus::default()
        };
        Plan::read(&status).unwrap().unwrap()
    }

    #[test]
    fn a_plan_holds_until_a_load_has_left_it_by_more_than_the_tolerance() {
        let made = plan(&[6000, 6000, 0]);
        for (accounts, holds) in [
            // A third each is 4000, and 10 % of that 400.
            ([6000, 6000, 0], true),
            ([6300, 5900, 0], true),
            ([5800, 6100, 300], true),
            ([6600, 5400, 0], false),
            ([5000, 6000, 1000], false),
            ([4000, 4000, 4000], false),
            ([4150, 4150, 3700], false),
        ] {
            assert_eq!(
                made.holds(&balance(&accounts), &LIMITS),
                holds,
                "{accounts:?}"
            );
        }
    }

    #[test]
    fn one_account_more_or_less_is_never_too_much() {
        let made = plan(&[12, 12, 0]);
        for accounts in [[13, 12, 0], [12, 11, 0], [12, 12, 1]] {
            assert!(made.holds(&balance(&accounts), &LIMITS), "{accounts:?}");
        }
    }

    #[test]
    fn a_small_plan_is_kept_until_it_is_needed_by_no_means() {
        let made = plan(&[1120, 1000, 880]);
        assert!(made.holds(&balance(&[1090, 1000, 910]), &LIMITS));
        assert!(!made.holds(&balance(&[1040, 1000, 960]), &LIMITS));
    }

    #[test]
    fn a_shard_that_is_gone_takes_its_plans_along() {
        let made = plan(&[6000, 6000, 0]);
        assert!(!made.holds(&balance(&[6000, 6000]), &LIMITS));
        assert!(!made.holds(&balance(&[6000, 6000, 0, 0]), &LIMITS));
    }

    #[test]
    fn of_a_long_plan_the_largest_flows_are_told_and_it_holds() {
        let mut accounts = vec![2000; 100];
        accounts.extend(vec![0; 100]);
        let made = plan(&accounts);
        assert_eq!(made.parts.len(), MOST_FLOWS);
        assert!(made.holds(&balance(&accounts), &LIMITS));
        assert!(!made.holds(&balance(&vec![1000; 200]), &LIMITS));
    }

    #[test]
    fn how_far_loads_are_from_their_shares() {
        let draft = Draft::of(&balance(&[60, 60, 0]), &LIMITS).unwrap();
        assert_eq!(draft.spread.before, [-1000, 500]);
        assert_eq!(draft.spread.after, [-100, 50]);
        assert_eq!(Draft::of(&balance(&[50, 52]), &LIMITS), None);
    }
}
