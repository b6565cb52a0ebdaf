//! Mail at a steady rate, however long the answers take: what senders on the internet do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::ledger::{Answer, Ledger};
use crate::message::compose;
use crate::smtp::Client;

/// Who sends it.
const FROM: &str = "keeper@example.net";

/// Octets of each message.
const SIZE: usize = 1000;

/// A message that was acknowledged.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// Its number.
    pub number: u64,
    /// To whom.
    pub recipient: String,
    /// When its session began.
    pub sent: Instant,
    /// When it was answered with 250.
    pub answered: Instant,
}

/// A steady stream of messages, each over a connection of its own, the recipients in turn.
pub struct Paced {
    smtp: SocketAddr,
    recipients: Vec<String>,
    every: Duration,
    next: AtomicU64,
    stop: AtomicBool,
    ledger: Mutex<Ledger>,
    accepted: Mutex<Vec<Accepted>>,
}

impl Paced {
    /// So many messages a second, once it runs.
    pub fn new(smtp: SocketAddr, recipients: Vec<String>, a_second: u32) -> Arc<Self> {
        Arc::new(Self {
            smtp,
            recipients,
            every: Duration::from_secs(1) / a_second.max(1),
            next: AtomicU64::new(1),
            stop: AtomicBool::new(false),
            ledger: Mutex::default(),
            accepted: Mutex::default(),
        })
    }

    /// Sends until it is stopped, and then waits for the answers that are missing.
    pub async fn run(self: Arc<Self>) -> Result<()> {
        let mut ticks = tokio::time::interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut sending = JoinSet::new();
        while !self.stop.load(Ordering::Relaxed) {
            ticks.tick().await;
            sending.spawn(Arc::clone(&self).send());
            while let Some(sent) = sending.try_join_next() {
                sent?;
            }
        }
        while let Some(sent) = sending.join_next().await {
            sent?;
        }
        Ok(())
    }

    /// No more messages.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// What was sent, and what was answered.
    pub fn ledger(&self) -> Ledger {
        self.ledger.lock().clone()
    }

    /// All that was acknowledged so far.
    pub fn accepted(&self) -> Vec<Accepted> {
        self.accepted.lock().clone()
    }

    async fn send(self: Arc<Self>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let recipient = &self.recipients[number as usize % self.recipients.len()];
        let message = compose(number, FROM, recipient, SIZE);
        let sent = Instant::now();
        let sending = async {
            let mut client = Client::connect(self.smtp, "EHLO paced.example.net").await?;
            let (answer, _) = client.send(FROM, recipient, &message).await?;
            client.quit().await;
            anyhow::Ok(answer)
        };
        // An error before the body means that it was not sent.
        let answer = sending.await.unwrap_or(Answer::Refused);
        self.ledger.lock().sent(number, recipient, answer);
        if answer == Answer::Accepted {
            self.accepted.lock().push(Accepted {
                number,
                recipient: recipient.clone(),
                sent,
                answered: Instant::now(),
            });
        }
    }
}
