//! Mail at a steady rate, sent with a real client and sent again until it is answered, as a mail
//! server does.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use jiff::Timestamp;
use parking_lot::Mutex;

use super::population::Population;
use crate::ledger::{Answer, Ledger};
use crate::message::{Random, body_digest, compose};
use crate::real::Sender;

const FROM: &str = "keeper@example.net";

/// Enough for 200 messages a second when each takes 40 ms.
const THREADS: usize = 8;

/// A real sender waits for minutes; we have not that long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// For messages still unanswered when sending stops.
const LAST_ANSWERS: Duration = Duration::from_secs(120);

/// The largest message of the demo.
const LARGEST: usize = 100 << 10;

/// Senders at work.
pub(super) struct Traffic {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<()>>>,
}

/// What was sent.
pub(super) struct Sent {
    pub(super) ledger: Ledger,
    pub(super) unknown: Unknown,
    /// When messages were accepted, and for whom.
    pub(super) accepted: Vec<(Timestamp, String)>,
}

/// Messages whose connection broke after the 354 and before the answer. Each was sent again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Unknown {
    /// It was there: the second attempt was answered as a duplicate.
    pub(super) found: u64,
    /// It was not there: the second attempt brought it.
    pub(super) missing: u64,
    /// No attempt was answered.
    pub(super) unanswered: u64,
}

/// What became of one of them; none: nobody knows yet.
type Fate = Option<bool>;

struct Shared {
    sender: Sender,
    smtp: SocketAddr,
    recipients: Vec<String>,
    began: Instant,
    interval: Duration,
    stopping: AtomicBool,
    in_a_hurry: AtomicBool,
    next: AtomicU64,
    accepted: Mutex<Vec<(Timestamp, String)>>,
    under_way: AtomicUsize,
    ledger: Mutex<Ledger>,
    broken: Mutex<BTreeMap<u64, Fate>>,
    retries: Mutex<VecDeque<Retry>>,
}

struct Retry {
    at: Instant,
    number: u64,
}

impl Traffic {
    pub(super) fn start(
        sender: Sender,
        smtp: SocketAddr,
        rate: u32,
        population: &Population,
    ) -> Self {
        let people = population.people().iter();
        let shared = Arc::new(Shared {
            sender,
            smtp,
            recipients: people.map(|(address, _)| address.clone()).collect(),
            began: Instant::now(),
            interval: Duration::from_secs(1) / rate,
            stopping: AtomicBool::new(false),
            in_a_hurry: AtomicBool::new(false),
            next: AtomicU64::new(0),
            accepted: Mutex::default(),
            under_way: AtomicUsize::new(0),
            ledger: Mutex::default(),
            broken: Mutex::default(),
            retries: Mutex::default(),
        });
        let work = |_| {
            let shared = shared.clone();
            thread::spawn(move || shared.work())
        };
        Self {
            threads: (0..THREADS).map(work).collect(),
            shared,
        }
    }

    /// One line.
    pub(super) fn so_far(&self) -> String {
        let accepted = self.shared.accepted.lock().len();
        format!("{accepted} messages accepted so far")
    }

    /// Messages between the 354 and the answer to them.
    pub(super) fn under_way(&self) -> usize {
        self.shared.under_way.load(Ordering::Relaxed)
    }

    /// In a hurry the rate is no matter: every sender sends one message after the other.
    pub(super) fn hurry(&self, hurry: bool) {
        self.shared.in_a_hurry.store(hurry, Ordering::Relaxed);
    }

    /// No new messages; waits until every one is answered.
    pub(super) fn finish(self) -> Result<Sent> {
        self.shared.stopping.store(true, Ordering::Relaxed);
        for thread in self.threads {
            match thread.join() {
                Ok(done) => done?,
                Err(_) => bail!("a sender panicked"),
            }
        }
        Ok(Sent {
            ledger: std::mem::take(&mut *self.shared.ledger.lock()),
            unknown: Unknown::of(self.shared.broken.lock().values().copied()),
            accepted: std::mem::take(&mut *self.shared.accepted.lock()),
        })
    }
}

impl Unknown {
    fn of(fates: impl Iterator<Item = Fate>) -> Self {
        let mut unknown = Self::default();
        for fate in fates {
            match fate {
                Some(true) => unknown.found += 1,
                Some(false) => unknown.missing += 1,
                None => unknown.unanswered += 1,
            }
        }
        unknown
    }

    /// All of them.
    pub(super) fn all(self) -> u64 {
        self.found + self.missing + self.unanswered
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            found,
            missing,
            unanswered,
        } = self;
        write!(f, "the connection broke before the answer")?;
        match self.all() {
            0 => return Ok(()),
            _ => write!(f, "; of these {found} had arrived, {missing} had not")?,
        }
        match unanswered {
            0 => Ok(()),
            _ => write!(f, ", {unanswered} never answered"),
        }
    }
}

impl Shared {
    fn work(&self) -> Result<()> {
        let mut stopping_since = None;
        loop {
            if let Some(retry) = self.due() {
                self.send(retry.number)?;
                continue;
            }
            if !self.stopping.load(Ordering::Relaxed) {
                self.send_next()?;
                continue;
            }
            let since = *stopping_since.get_or_insert_with(Instant::now);
            let waiting = !self.retries.lock().is_empty();
            if !waiting || since.elapsed() > LAST_ANSWERS {
                return Ok(());
            }
            thread::sleep(RETRY_AFTER / 10);
        }
    }

    /// The next new message, when its time has come.
    fn send_next(&self) -> Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let at = self.began + self.interval * u32::try_from(number).unwrap_or(u32::MAX);
        while Instant::now() < at && !self.in_a_hurry.load(Ordering::Relaxed) {
            let left = at.saturating_duration_since(Instant::now());
            thread::sleep(left.min(RETRY_AFTER / 20));
        }
        self.send(number)
    }

    fn send(&self, number: u64) -> Result<()> {
        let to = &self.recipients[number as usize % self.recipients.len()];
        let size = Random::new(number).size(LARGEST);
        let text = compose(number, FROM, to, size);
        let (answer, said) = self.watched(to, &text)?;
        let mut ledger = self.ledger.lock();
        ledger.wrote(number, body_digest(text.as_bytes()));
        ledger.sent(number, to, answer);
        drop(ledger);
        if answer == Answer::Refused && said.starts_with('5') {
            bail!("{to} refused: {said}");
        }
        if answer == Answer::Accepted {
            self.accepted.lock().push((Timestamp::now(), to.clone()));
            if let Some(fate) = self.broken.lock().get_mut(&number) {
                *fate = Some(said.contains("duplicate"));
            }
            return Ok(());
        }
        // 4yz is an answer; after a break the 354 was the last word.
        if answer == Answer::Unknown && said.starts_with("354") {
            self.broken.lock().insert(number, None);
        }
        self.retries.lock().push_back(Retry {
            at: Instant::now() + RETRY_AFTER,
            number,
        });
        Ok(())
    }

    /// Sends, and counts the message while it is under way.
    fn watched(&self, to: &str, text: &str) -> Result<(Answer, String)> {
        let flows = AtomicBool::new(false);
        let tell = || {
            flows.store(true, Ordering::Relaxed);
            self.under_way.fetch_add(1, Ordering::Relaxed);
        };
        let sent = self.sender.send_and_tell(self.smtp, FROM, to, text, tell);
        if flows.into_inner() {
            self.under_way.fetch_sub(1, Ordering::Relaxed);
        }
        sent
    }

    fn due(&self) -> Option<Retry> {
        let mut retries = self.retries.lock();
        let is_due = retries
            .front()
            .is_some_and(|retry| retry.at <= Instant::now());
        is_due.then(|| retries.pop_front()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fates_are_counted_and_told() {
        let unknown = Unknown::of([Some(true), Some(false), Some(false)].into_iter());
        assert_eq!(unknown.all(), 3);
        assert_eq!(
            unknown.to_string(),
            "the connection broke before the answer; of these 1 had arrived, 2 had not"
        );
        let open = Unknown::of([None].into_iter());
        assert!(open.to_string().ends_with(", 1 never answered"), "{open}");
    }
}
