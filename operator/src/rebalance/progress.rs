//! How far moves are, and how long the rest will take: pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use plan::Flow;
use wire::rpc::Move;

/// What an account costs beside its octets: a fence, two digests, four transactions.
const ACCOUNT: u64 = 1 << 20;

/// The pace is that of so long.
const WINDOW: Duration = Duration::from_secs(300);

/// A shorter time says nothing of it.
const LEAST: Duration = Duration::from_secs(60);

/// What has not arrived yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    /// Accounts.
    pub moves: u64,
    /// Octets.
    pub bytes: u64,
}

impl Left {
    /// Of moves that are open, and of flows that run. `mean`: octets of an account of a shard, for
    /// those whose size is not known yet.
    pub fn of<'a>(
        open: &[Move],
        flows: impl Iterator<Item = &'a Flow>,
        mean: impl Fn(&str) -> u64,
    ) -> Self {
        let bytes_of = |told: &Move| match told.total_bytes {
            0 => mean(&told.source),
            total => total.saturating_sub(told.bytes),
        };
        let count = u64::try_from(open.len()).unwrap_or(u64::MAX);
        let begun = Self {
            moves: count,
            bytes: open.iter().map(bytes_of).sum(),
        };
        flows.fold(begun, |left, flow| Self {
            moves: left.moves.saturating_add(flow.accounts),
            bytes: left.bytes.saturating_add(flow.bytes),
        })
    }

    /// What it costs, in octets.
    pub fn work(self) -> u64 {
        self.bytes
            .saturating_add(self.moves.saturating_mul(ACCOUNT))
    }

    /// How much of all is done, in percent; of nothing, all.
    pub fn done_percent(self, all: Self) -> u64 {
        let done = all.work().saturating_sub(self.work());
        match all.work() {
            0 => 100,
            all => u64::try_from(u128::from(done) * 100 / u128::from(all)).unwrap_or(100),
        }
    }
}

/// How fast what is left becomes less.
#[derive(Debug, Default)]
pub struct Pace {
    marks: VecDeque<(Instant, u64)>,
}

impl Pace {
    /// Minutes until nothing is left; none: it is not known yet, or nothing comes on.
    pub fn minutes(&mut self, left: Left, now: Instant) -> Option<u64> {
        let work = left.work();
        if work == 0 {
            self.marks.clear();
            return None;
        }
        self.marks.push_back((now, work));
        while self.marks.len() > 1 && now - self.marks[0].0 > WINDOW {
            self.marks.pop_front();
        }
        let (since, before) = self.marks.front().copied()?;
        let took = now - since;
        let done = before.saturating_sub(work);
        if took < LEAST || done == 0 {
            return None;
        }
        let seconds = u128::from(work) * u128::from(took.as_secs()) / u128::from(done);
        u64::try_from(seconds.div_ceil(60)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(moves: u64, bytes: u64) -> Left {
        Left { moves, bytes }
    }

    #[test]
    fn minutes_follow_from_what_was_done_and_from_nothing_else() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::default();
        let work = |mebibytes: u64| left(0, mebibytes << 20);
        assert_eq!(pace.minutes(work(100), at(0)), None);
        assert_eq!(pace.minutes(work(80), at(59)), None);
        assert_eq!(pace.minutes(work(80), at(60)), Some(4));
        assert_eq!(pace.minutes(work(40), at(120)), Some(2));
        // What was done long ago is no pace.
        for minute in 3..8 {
            pace.minutes(work(40), at(minute * 60));
        }
        assert_eq!(pace.minutes(work(40), at(480)), None);
        // When all is done it begins anew.
        assert_eq!(pace.minutes(left(0, 0), at(481)), None);
        assert_eq!(pace.minutes(work(100), at(482)), None);
    }

    #[test]
    fn more_that_is_left_than_before_is_no_pace() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.minutes(left(1, 0), start), None);
        let later = start + Duration::from_secs(100);
        assert_eq!(pace.minutes(left(2, 0), later), None);
    }

    #[test]
    fn accounts_without_mail_are_work_too() {
        assert_eq!(left(5, 0).done_percent(left(10, 0)), 50);
        assert_eq!(left(0, 0).done_percent(left(0, 0)), 100);
        assert_eq!(left(12, 0).done_percent(left(10, 0)), 0);
        assert_eq!(left(0, u64::MAX).done_percent(left(9, u64::MAX)), 0);
    }

    #[test]
    fn what_is_copied_is_not_left_and_what_is_not_known_is_of_the_mean_size() {
        let begun = Move {
            source: "a".to_owned(),
            bytes: 30,
            total_bytes: 100,
            ..Move::default()
        };
        let planned = Move {
            source: "b".to_owned(),
            ..Move::default()
        };
        let mean = |shard: &str| if shard == "b" { 7 } else { 0 };
        let flow = Flow {
            from: "a".parse().unwrap(),
            to: "b".parse().unwrap(),
            why: plan::Why::Uneven,
            share: 1,
            accounts: 2,
            bytes: 5,
        };
        let found = Left::of(&[begun, planned], [flow].iter(), mean);
        assert_eq!(found, left(4, 82));
    }
}
