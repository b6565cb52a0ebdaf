//! Shards that do not answer: one back-off for each queue. Pure.
//!
//! While its shard is away a queue has one attempt at a time, a *probe*, and waits between two;
//! the messages in it do not each run into the same wall. The first that is delivered ends this.

use std::collections::BTreeMap;

use wire::ids::ShardName;

use crate::spool::schedule::Schedule;

/// A probe a minute costs nothing, and mail for a shard that is back waits no longer than this.
const LONGEST_MS: i64 = 60_000;

/// The shards that are away.
#[derive(Debug, Default)]
pub struct Away(BTreeMap<ShardName, Absence>);

#[derive(Debug, Clone, Copy)]
struct Absence {
    /// Attempts in a row that got no answer; those that ran at the same time are one.
    failures: u32,
    /// When to probe, milliseconds since 1970.
    until_ms: i64,
    /// Somebody wants a probe that has not begun yet.
    hurried: bool,
}

/// What was known of a shard when an attempt began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round(u32);

impl Away {
    /// What is known of the shard now.
    pub fn round(&self, shard: &ShardName) -> Round {
        Round(self.0.get(shard).map_or(0, |absence| absence.failures))
    }

    /// When the shard is to be probed; none if it is not away.
    pub fn until(&self, shard: &ShardName) -> Option<i64> {
        self.0.get(shard).map(|absence| absence.until_ms)
    }

    /// How many shards are away.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// An attempt got no answer: true if that is news, and not what one that began with it in the
    /// same round has said already.
    pub fn failed(
        &mut self,
        shard: &ShardName,
        round: Round,
        schedule: &Schedule,
        now_ms: i64,
        chance: f64,
    ) -> bool {
        if self.round(shard) != round {
            return false;
        }
        let schedule = Schedule {
            longest_ms: schedule.longest_ms.min(LONGEST_MS),
            ..*schedule
        };
        let failures = round.0.saturating_add(1);
        let until_ms = schedule.next_attempt(failures, now_ms, chance);
        let hurried = self.0.get(shard).is_some_and(|absence| absence.hurried);
        let absence = Absence {
            failures,
            until_ms: if hurried { now_ms } else { until_ms },
            hurried,
        };
        self.0.insert(shard.clone(), absence);
        true
    }

    /// The shard took a message: true if it was away.
    pub fn answered(&mut self, shard: &ShardName) -> bool {
        self.0.remove(shard).is_some()
    }

    /// Somebody wants the shard probed now, and once more if a probe is under way that fails.
    pub fn hurry(&mut self, shard: &ShardName, now_ms: i64) {
        if let Some(absence) = self.0.get_mut(shard) {
            absence.until_ms = absence.until_ms.min(now_ms);
            absence.hurried = true;
        }
    }

    /// An attempt begins; what it is to bring along to [`Away::failed`].
    pub fn begin(&mut self, shard: &ShardName) -> Round {
        if let Some(absence) = self.0.get_mut(shard) {
            absence.hurried = false;
        }
        self.round(shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_end_with_an_answer() {
        let (mut away, shard) = (Away::default(), "shard-1".parse().unwrap());
        let mut waits = Vec::new();
        for _ in 0..6 {
            let round = away.round(&shard);
            assert!(away.failed(&shard, round, &Schedule::default(), 1000, 0.0));
            // Those that were under way meanwhile say nothing new.
            assert!(!away.failed(&shard, round, &Schedule::default(), 9000, 0.0));
            waits.push(away.until(&shard).unwrap() - 1000);
        }
        assert_eq!(waits, [5000, 10_000, 20_000, 40_000, 60_000, 60_000]);
        let under_way = away.begin(&shard);
        away.hurry(&shard, 2000);
        assert_eq!(away.until(&shard), Some(2000));
        assert!(away.failed(&shard, under_way, &Schedule::default(), 2500, 0.0));
        assert_eq!(away.until(&shard), Some(2500));
        let wanted = away.begin(&shard);
        assert!(away.failed(&shard, wanted, &Schedule::default(), 2500, 0.0));
        assert_eq!(away.until(&shard), Some(62_500));
        assert!(away.answered(&shard) && !away.answered(&shard));
        assert_eq!((away.until(&shard), away.count()), (None, 0));
        assert!(away.failed(&shard, Round(0), &Schedule::default(), 0, 0.0));
        assert_eq!(away.until(&shard), Some(5000));
    }

    #[test]
    fn each_shard_for_itself() {
        let (mut away, shard) = (Away::default(), "shard-1".parse().unwrap());
        let other = "shard-2".parse().unwrap();
        away.failed(&shard, Round(0), &Schedule::default(), 0, 0.0);
        away.hurry(&other, 0);
        assert_eq!((away.until(&other), away.round(&other)), (None, Round(0)));
    }
}
