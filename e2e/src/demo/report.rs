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
        let moved = Row(
            "accounts moved",
            self.moved as u64,
            format!("of {}, half there and half back", self.to_move),
        );
        let mut rows = of_mail(&self.verdict, self.unknown);
        rows.push(moved);
        show(&rows, &self.verdict, self.is_good(), self.took);
    }
}

/// A name, a count, and what it counts.
pub(super) struct Row(pub(super) &'static str, pub(super) u64, pub(super) String);

/// The table, what is wrong with single messages, and the last word.
pub(super) fn show(rows: &[Row], verdict: &Verdict, is_good: bool, took: Duration) {
    say::line("");
    for Row(name, count, what) in rows {
        let line = format!("  {name:<15} {count:>6}  {what}");
        say::line(line.trim_end());
    }
    let faults = verdict.faults.iter();
    faults.for_each(|fault| say::line(&format!("  {fault}")));
    let seconds = took.as_secs();
    say::line(&match is_good {
        true => format!("\nGood: nothing lost, nothing doubled, in {seconds} s."),
        false => format!("\nNOT GOOD, after {seconds} s: see the table."),
    });
}

/// What became of messages.
pub(super) fn of_mail(verdict: &Verdict, broken: Unknown) -> Vec<Row> {
    let Verdict {
        sent,
        accepted,
        refused,
        unknown,
        read,
        lost,
        doubled,
        altered,
        strange,
        faults: _,
    } = verdict;
    let none = String::new;
    let mut rows = vec![
        Row("sent", *sent, "messages, no two alike".to_owned()),
        Row("accepted", *accepted, "answered 250 in the end".to_owned()),
        Row("read back", *read, none()),
        Row("lost", *lost, none()),
        Row("doubled", *doubled, none()),
        Row(
            "altered",
            *altered,
            "by the SHA-256 of each body".to_owned(),
        ),
        Row("unknown", broken.all(), broken.to_string()),
    ];
    if unknown + refused > 0 {
        let what = "neither accepted nor heard of again".to_owned();
        rows.push(Row("not accepted", unknown + refused, what));
    }
    if *strange > 0 {
        let what = "there, though not accepted".to_owned();
        rows.push(Row("strange", *strange, what));
    }
    rows
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
            |verdict: &mut Verdict| verdict.altered = 1,
            |verdict: &mut Verdict| verdict.strange = 1,
            |verdict: &mut Verdict| verdict.unknown = 1,
        ] {
            let mut verdict = Verdict::default();
            set(&mut verdict);
            assert!(!report(verdict, 2).is_good());
        }
    }
}
