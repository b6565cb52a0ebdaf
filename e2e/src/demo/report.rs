//! What came of the demo, and how to go on.

use std::path::Path;
use std::time::Duration;

use super::population::{Population, other};
use super::traffic::Unknown;
use crate::ledger::Verdict;
use crate::say;
use crate::site::Site;

/// All that was counted.
pub(super) struct Report {
    pub(super) verdict: Verdict,
    pub(super) unknown: Unknown,
    /// Accounts that arrived, there and back.
    pub(super) moved: usize,
    /// Accounts that were to.
    pub(super) to_move: usize,
    pub(super) took: Duration,
}

impl Report {
    /// Nothing lost, doubled or strange, an answer for every message, every account moved.
    pub(super) fn is_good(&self) -> bool {
        self.verdict.is_good()
            && self.verdict.unknown == 0
            && self.unknown.unanswered == 0
            && self.moved == self.to_move
    }

    /// Shows the table.
    pub(super) fn show(&self) {
        say::line("");
        for (name, count, what) in self.rows() {
            let line = format!("  {name:<15} {count:>6}  {what}");
            say::line(line.trim_end());
        }
        let faults = self.verdict.faults.iter();
        faults.for_each(|fault| say::line(&format!("  {fault}")));
        let seconds = self.took.as_secs();
        say::line(&match self.is_good() {
            true => format!("\nGood: nothing lost, nothing doubled, in {seconds} s."),
            false => format!("\nNOT GOOD, after {seconds} s: see the table."),
        });
    }

    fn rows(&self) -> Vec<(&'static str, u64, String)> {
        let Verdict {
            sent,
            accepted,
            refused,
            unknown,
            read,
            lost,
            doubled,
            strange,
            faults: _,
        } = &self.verdict;
        let none = String::new;
        let mut rows = vec![
            ("sent", *sent, "messages, no two alike".to_owned()),
            ("accepted", *accepted, "answered 250 in the end".to_owned()),
            ("read back", *read, none()),
            ("lost", *lost, none()),
            ("doubled", *doubled, none()),
            ("unknown", self.unknown.all(), self.unknown.to_string()),
            (
                "accounts moved",
                self.moved as u64,
                format!("of {}, half there and half back", self.to_move),
            ),
        ];
        if unknown + refused > 0 {
            let what = "neither accepted nor heard of again".to_owned();
            rows.push(("not accepted", unknown + refused, what));
        }
        if *strange > 0 {
            rows.push(("strange", *strange, "there, though not accepted".to_owned()));
        }
        rows
    }
}

/// Commands that work as pasted.
pub(super) fn how_to_go_on(site: &Site, buzonera: &Path, population: &Population, home: &str) {
    let buzonera = buzonera.display();
    let (address, password) = population.first();
    let pop3s = site.ports().pop3s;
    say::line("\nGo on by hand; the data is still there:\n");
    say::line(&format!("  cd {}", site.folder().display()));
    say::line(&format!(
        "  {buzonera} local {}",
        site.ports().flags().join(" ")
    ));
    say::line("\nand in another terminal in that folder:\n");
    say::line(&format!("  {buzonera} status"));
    say::line(&format!("  {buzonera} account show {address}"));
    say::line(&format!("  {buzonera} move {address} {}", other(home)));
    say::line(&format!(
        "  curl --cacert buzonera-data/ca.pem --user {address}:{password} pop3s://127.0.0.1:{pop3s}/"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(verdict: Verdict, moved: usize) -> Report {
        Report {
            verdict,
            unknown: Unknown::default(),
            moved,
            to_move: 2,
            took: Duration::ZERO,
        }
    }

    #[test]
    fn only_a_clean_run_is_good() {
        assert!(report(Verdict::default(), 2).is_good());
        assert!(!report(Verdict::default(), 1).is_good());
        for set in [
            |verdict: &mut Verdict| verdict.lost = 1,
            |verdict: &mut Verdict| verdict.doubled = 1,
            |verdict: &mut Verdict| verdict.strange = 1,
            |verdict: &mut Verdict| verdict.unknown = 1,
        ] {
            let mut verdict = Verdict::default();
            set(&mut verdict);
            assert!(!report(verdict, 2).is_good());
        }
    }
}
