//! What came of it.

use std::time::Duration;

use super::logins::Counted;
use crate::demo::report::{self, Row};
use crate::demo::traffic::Unknown;
use crate::ledger::Verdict;
use crate::say;

/// Fewer moves show nothing.
const LEAST_MOVED: usize = 30;

/// Nor do fewer messages for accounts that are being moved.
const LEAST_OVERLAPPED: usize = 100;

/// Refusals that are shown.
const SHOWN: usize = 5;

/// All that was counted.
#[derive(Debug)]
pub struct Report {
    pub(super) verdict: Verdict,
    pub(super) unknown: Unknown,
    /// Accounts that came to the third shard.
    pub up: usize,
    /// Accounts that left it again.
    pub down: usize,
    /// Messages that were accepted while their account's move was open.
    pub(super) overlapped: usize,
    pub(super) logins: Counted,
}

impl Report {
    /// As [`Self::is_whole`], and enough accounts moved while their mail came.
    pub(super) fn is_good(&self) -> bool {
        self.is_whole()
            && self.up.min(self.down) >= LEAST_MOVED
            && self.overlapped >= LEAST_OVERLAPPED
    }

    /// Nothing lost, doubled, altered or refused.
    pub fn is_whole(&self) -> bool {
        self.verdict.is_good()
            && self.verdict.unknown == 0
            && self.unknown.unanswered == 0
            && self.logins.refused.is_empty()
    }

    /// Shows the table.
    pub(super) fn show(&self, took: Duration) {
        let mut rows = report::of_mail(&self.verdict, self.unknown);
        rows.extend(self.rows());
        report::show(&rows, &self.verdict, self.is_good(), took);
        for refusal in self.logins.refused.iter().take(SHOWN) {
            say::line(&format!("  {refusal}"));
        }
    }

    fn rows(&self) -> [Row; 5] {
        let least = |least: usize, what: &str| format!("{what}, at least {least}");
        [
            Row(
                "moved up",
                self.up as u64,
                least(LEAST_MOVED, "accounts, to the third shard"),
            ),
            Row(
                "moved down",
                self.down as u64,
                least(LEAST_MOVED, "accounts, off it again"),
            ),
            Row(
                "while moving",
                self.overlapped as u64,
                least(LEAST_OVERLAPPED, "accepted while their account moved"),
            ),
            Row("logins", self.logins.all, "meanwhile".to_owned()),
            Row(
                "logins refused",
                self.logins.refused.len() as u64,
                String::new(),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Report {
        Report {
            verdict: Verdict::default(),
            unknown: Unknown::default(),
            up: 30,
            down: 31,
            overlapped: 100,
            logins: Counted::default(),
        }
    }

    #[test]
    fn each_count_that_is_not_as_it_must_be_makes_it_bad() {
        assert!(good().is_good());
        for spoil in [
            |report: &mut Report| report.verdict.lost = 1,
            |report: &mut Report| report.verdict.altered = 1,
            |report: &mut Report| report.verdict.unknown = 1,
            |report: &mut Report| report.unknown.unanswered = 1,
            |report: &mut Report| report.up = 29,
            |report: &mut Report| report.down = 29,
            |report: &mut Report| report.overlapped = 99,
            |report: &mut Report| report.logins.refused.push("-ERR".to_owned()),
        ] {
            let mut report = good();
            spoil(&mut report);
            assert!(!report.is_good());
        }
    }
}
