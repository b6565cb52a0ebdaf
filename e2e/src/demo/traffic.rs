//! Mail at a steady rate, sent with a real client and sent again until it is answered, as a mail
//! server does.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::population::Population;
use crate::ledger::{Answer, Ledger};
use crate::message::{Random, compose};
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
    /// Connections that broke before the answer.
    pub(super) broken: u64,
    /// Of the messages concerned, how many were sent again.
    pub(super) again: u64,
}

struct Shared {
    sender: Sender,
    port: u16,
    recipients: Vec<String>,
    began: Instant,
    interval: Duration,
    stopping: AtomicBool,
    next: AtomicU64,
    broken: AtomicU64,
    again: AtomicU64,
    ledger: Mutex<Ledger>,
    retries: Mutex<VecDeque<Retry>>,
}

struct Retry {
    at: Instant,
    number: u64,
    broken: bool,
}

impl Traffic {
    pub(super) fn start(sender: Sender, port: u16, rate: u32, population: &Population) -> Self {
        let people = population.people().iter();
        let shared = Arc::new(Shared {
            sender,
            port,
            recipients: people.map(|(address, _)| address.clone()).collect(),
            began: Instant::now(),
            interval: Duration::from_secs(1) / rate,
            stopping: AtomicBool::new(false),
            next: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            again: AtomicU64::new(0),
            ledger: Mutex::default(),
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
            ledger: std::mem::take(&mut *self.shared.ledger()),
            broken: self.shared.broken.load(Ordering::Relaxed),
            again: self.shared.again.load(Ordering::Relaxed),
        })
    }
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) -> Result<()> {
        let mut stopping_since = None;
        loop {
            if let Some(retry) = self.due() {
                self.send(retry.number, retry.broken)?;
                continue;
            }
            if !self.stopping.load(Ordering::Relaxed) {
                self.send_next()?;
                continue;
            }
            let since = *stopping_since.get_or_insert_with(Instant::now);
            let waiting = !self.retries().is_empty();
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
        thread::sleep(at.saturating_duration_since(Instant::now()));
        self.send(number, false)
    }

    fn send(&self, number: u64, after_break: bool) -> Result<()> {
        let to = &self.recipients[number as usize % self.recipients.len()];
        let size = Random::new(number).size(LARGEST);
        let text = compose(number, FROM, to, size);
        let (answer, said) = self.sender.send(self.port, FROM, to, &text)?;
        self.again
            .fetch_add(u64::from(after_break), Ordering::Relaxed);
        self.ledger().sent(number, to, answer);
        match answer {
            Answer::Accepted => return Ok(()),
            Answer::Refused if said.starts_with('5') => bail!("{to} refused: {said}"),
            Answer::Refused => {}
            Answer::Unknown => {
                self.broken.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.retries().push_back(Retry {
            at: Instant::now() + RETRY_AFTER,
            number,
            broken: answer == Answer::Unknown,
        });
        Ok(())
    }

    fn retries(&self) -> MutexGuard<'_, VecDeque<Retry>> {
        self.retries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn due(&self) -> Option<Retry> {
        let mut retries = self.retries();
        let is_due = retries
            .front()
            .is_some_and(|retry| retry.at <= Instant::now());
        is_due.then(|| retries.pop_front()).flatten()
    }
}
