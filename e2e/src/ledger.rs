//! Which messages were sent, what was answered, and whether what was read agrees.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What the sender of a message knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 250: it has to be there, once.
    Accepted,
    /// 5yz, or any refusal before the body: it must not be there.
    Refused,
    /// The connection broke before the answer, or 4yz after the body: it may be there, once.
    Unknown,
}

/// SHA-256 of a message's body.
pub type Digest = [u8; 32];

/// All messages of a run, by number and recipient.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    sent: BTreeMap<(u64, String), Answer>,
    /// Of the body that was sent, by number; not of each message.
    bodies: BTreeMap<u64, Digest>,
    altered: BTreeSet<(u64, String)>,
    read: BTreeMap<(u64, String), u64>,
    may_be_gone: BTreeSet<(u64, String)>,
}

/// The result: all that is wrong is listed, up to [`Verdict::MOST_LISTED`] of each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Sent, whatever was answered.
    pub sent: u64,
    /// Answered 250.
    pub accepted: u64,
    /// Refused.
    pub refused: u64,
    /// No answer came.
    pub unknown: u64,
    /// Different messages read back.
    pub read: u64,
    /// Accepted and not read back.
    pub lost: u64,
    /// Read back more than once.
    pub doubled: u64,
    /// Read back with another body than was sent.
    pub altered: u64,
    /// Read back though refused, or never sent to that recipient.
    pub strange: u64,
    /// Number, recipient and fault of those that are wrong.
    pub faults: Vec<String>,
}

impl Ledger {
    /// Notes what was answered. A message that was sent again keeps the better answer.
    pub fn sent(&mut self, number: u64, recipient: &str, answer: Answer) {
        let known = self
            .sent
            .entry((number, recipient.to_owned()))
            .or_insert(answer);
        let better = match (*known, answer) {
            (Answer::Accepted, _) | (_, Answer::Accepted) => Answer::Accepted,
            (Answer::Unknown, _) | (_, Answer::Unknown) => Answer::Unknown,
            (Answer::Refused, Answer::Refused) => Answer::Refused,
        };
        *known = better;
    }

    /// Notes what body a message has.
    pub fn wrote(&mut self, number: u64, body: Digest) {
        self.bodies.insert(number, body);
    }

    /// Notes that a message was found in a mailbox, with this body.
    pub fn read_whole(&mut self, number: u64, recipient: &str, body: Digest) {
        self.read(number, recipient);
        if self.bodies.get(&number).is_some_and(|sent| *sent != body) {
            self.altered.insert((number, recipient.to_owned()));
        }
    }

    /// Notes that a message was found in a mailbox.
    pub fn read(&mut self, number: u64, recipient: &str) {
        *self.read.entry((number, recipient.to_owned())).or_default() += 1;
    }

    /// Notes that a message was there, and was marked as deleted by a QUIT without an answer.
    pub fn may_be_gone(&mut self, number: u64, recipient: &str) {
        self.may_be_gone.insert((number, recipient.to_owned()));
    }

    /// Messages sent so far.
    pub fn len(&self) -> usize {
        self.sent.len()
    }

    /// Whether nothing was sent.
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Compares what was sent with what was read.
    pub fn verdict(&self) -> Verdict {
        let mut verdict = Verdict {
            read: self.read.len() as u64,
            ..Verdict::default()
        };
        for (key, answer) in &self.sent {
            verdict.sent += 1;
            let times = self.read.get(key).copied().unwrap_or(0);
            match answer {
                Answer::Accepted => verdict.accepted += 1,
                Answer::Refused => verdict.refused += 1,
                Answer::Unknown => verdict.unknown += 1,
            }
            if times > 0 || !self.may_be_gone.contains(key) {
                verdict.judge(key, *answer, times);
            }
        }
        for key in self.read.keys().filter(|key| !self.sent.contains_key(*key)) {
            verdict.strange += 1;
            verdict.fault(key, "was never sent");
        }
        for key in &self.altered {
            verdict.altered += 1;
            verdict.fault(key, "has another body than was sent");
        }
        verdict
    }
}

impl Verdict {
    /// Faults that are listed; more are only counted.
    pub const MOST_LISTED: usize = 20;

    /// Whether every promise held.
    pub fn is_good(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.altered == 0 && self.strange == 0
    }

    fn judge(&mut self, key: &(u64, String), answer: Answer, times: u64) {
        match (answer, times) {
            (Answer::Accepted, 0) => {
                self.lost += 1;
                self.fault(key, "was accepted and is lost");
            }
            (Answer::Refused, 1..) => {
                self.strange += 1;
                self.fault(key, "was refused and is there");
            }
            (_, 2..) => {
                self.doubled += 1;
                self.fault(key, "is there more than once");
            }
            _ => {}
        }
    }

    fn fault(&mut self, (number, recipient): &(u64, String), what: &str) {
        if self.faults.len() < Self::MOST_LISTED {
            self.faults
                .push(format!("message {number} to {recipient} {what}"));
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sent {}, accepted {}, refused {}, unknown {}, read back {}, lost {}, doubled {}",
            self.sent,
            self.accepted,
            self.refused,
            self.unknown,
            self.read,
            self.lost,
            self.doubled
        )?;
        if self.altered > 0 {
            write!(f, ", altered {}", self.altered)?;
        }
        if self.strange > 0 {
            write!(f, ", there but not accepted {}", self.strange)?;
        }
        self.faults
            .iter()
            .try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_found() {
        let mut ledger = Ledger::default();
        for (number, answer) in [
            (1, Answer::Accepted),
            (2, Answer::Accepted),
            (3, Answer::Accepted),
            (4, Answer::Unknown),
            (5, Answer::Unknown),
            (6, Answer::Refused),
        ] {
            ledger.sent(number, "a@b.c", answer);
        }
        for number in [1, 3, 3, 5, 6, 7] {
            ledger.read(number, "a@b.c");
        }
        let verdict = ledger.verdict();
        assert_eq!((verdict.sent, verdict.accepted, verdict.unknown), (6, 3, 2));
        assert_eq!((verdict.lost, verdict.doubled, verdict.strange), (1, 1, 2));
        assert_eq!(verdict.faults.len(), 4);
        assert!(!verdict.is_good());
    }

    #[test]
    fn another_body_is_a_fault() {
        let mut ledger = Ledger::default();
        ledger.sent(1, "a@b.c", Answer::Accepted);
        ledger.wrote(1, [1; 32]);
        let mut whole = ledger.clone();
        whole.read_whole(1, "a@b.c", [1; 32]);
        assert!(whole.verdict().is_good());
        ledger.read_whole(1, "a@b.c", [2; 32]);
        assert_eq!(ledger.verdict().altered, 1);
        assert!(!ledger.verdict().is_good());
    }

    #[test]
    fn what_may_be_gone_is_not_lost() {
        let mut ledger = Ledger::default();
        for number in [1, 2] {
            ledger.sent(number, "a@b.c", Answer::Accepted);
            ledger.may_be_gone(number, "a@b.c");
        }
        ledger.read(2, "a@b.c");
        assert!(ledger.verdict().is_good());
        ledger.read(2, "a@b.c");
        assert_eq!(ledger.verdict().doubled, 1);
    }

    #[test]
    fn sent_again_keeps_the_better_answer() {
        let mut ledger = Ledger::default();
        ledger.sent(1, "a@b.c", Answer::Unknown);
        ledger.sent(1, "a@b.c", Answer::Accepted);
        ledger.sent(1, "a@b.c", Answer::Refused);
        ledger.read(1, "a@b.c");
        let verdict = ledger.verdict();
        assert_eq!((verdict.sent, verdict.accepted), (1, 1));
        assert!(verdict.is_good());
    }
}
