//! Indexes what is durable, in the heap's order, and tells those who wait.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use futures::FutureExt as _;
use log::{LogError, Position, Ticket};
use tokio::sync::oneshot;
use wire::ids::DeliveryId;

use super::Inner;
use super::slots::Slot;
use crate::index::IndexError;
use crate::index::writer::{ApplyError, Writer};
use crate::records::{Decoded, Entry};

/// Records indexed in one batch: about what one group of the log holds.
const BATCH: usize = 512;

/// How often old deliveries are forgotten, and left-over rows removed, when there is no traffic.
const IDLE: Duration = Duration::from_secs(1);

/// Between two looks for deliveries to forget.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// A record that was submitted.
pub(super) struct Pending {
    pub(super) ticket: Ticket,
    pub(super) work: Work,
}

/// What is to be done once it is durable.
pub(super) struct Work {
    pub(super) decoded: Decoded,
    pub(super) sum: u64,
    pub(super) octets: u64,
    pub(super) slots: Vec<Arc<Slot>>,
    pub(super) done: oneshot::Sender<()>,
}

pub(super) struct Applier {
    shard: Arc<Inner>,
    writer: Writer,
    queue: Receiver<Pending>,
    /// Taken from the queue, not durable yet.
    next: Option<Pending>,
    since_checkpoint: u64,
    forgot_at: Duration,
}

/// Why the applier, and with it the shard, ends.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl Applier {
    pub(super) fn new(shard: Arc<Inner>, writer: Writer, queue: Receiver<Pending>) -> Self {
        Self {
            shard,
            writer,
            queue,
            next: None,
            since_checkpoint: 0,
            forgot_at: Duration::ZERO,
        }
    }

    /// Runs until the queue is closed and empty, or something fails.
    pub(super) fn run(mut self) {
        let _watch = Watch(Arc::clone(&self.shard));
        if let Err(stop) = self.work() {
            tracing::error!(error = %stop, "the shard stops");
            self.shard.fail(stop.to_string());
        }
    }

    fn work(&mut self) -> Result<(), Stop> {
        loop {
            let first = match self.next.take() {
                Some(pending) => pending,
                None => match self.queue.recv_timeout(IDLE) {
                    Ok(pending) => pending,
                    Err(RecvTimeoutError::Timeout) => {
                        self.tidy()?;
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                },
            };
            let batch = self.batch(first)?;
            self.apply(batch)?;
            self.tidy()?;
        }
        self.writer.index().persist()?;
        Ok(())
    }

    /// Waits for the first; takes those after it that are durable too.
    fn batch(&mut self, first: Pending) -> Result<Vec<(Position, Work)>, Stop> {
        let mut batch = vec![(first.ticket.wait()?, first.work)];
        while batch.len() < BATCH {
            let mut pending = match self.queue.try_recv() {
                Ok(pending) => pending,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            };
            match (&mut pending.ticket).now_or_never() {
                Some(at) => batch.push((at?, pending.work)),
                None => {
                    self.next = Some(pending);
                    break;
                }
            }
        }
        Ok(batch)
    }

    fn apply(&mut self, batch: Vec<(Position, Work)>) -> Result<(), Stop> {
        let sum = batch.last().map_or(0, |(_, work)| work.sum);
        let records = batch.iter().map(|(at, work)| (*at, &work.decoded));
        let effects = self.writer.apply(records, sum)?;
        self.shard.effects(effects);
        for (_, work) in batch {
            self.since_checkpoint += work.octets;
            let delivery = delivery_of(&work.decoded.entry);
            for slot in &work.slots {
                slot.indexed(delivery);
            }
            // Whoever asked may be gone; the change stands.
            let _ = work.done.send(());
        }
        if self.since_checkpoint >= self.shard.settings.checkpoint_bytes {
            self.since_checkpoint = 0;
            self.writer.index().persist()?;
        }
        Ok(())
    }

    /// A bounded piece of what can wait.
    fn tidy(&mut self) -> Result<(), Stop> {
        self.writer.sweep_some()?;
        let now = kit::clock::boottime();
        if now.saturating_sub(self.forgot_at) >= FORGET_EVERY || self.forgot_at.is_zero() {
            let remembered = i64::try_from(self.shard.settings.remembered.as_millis());
            let before = kit::clock::unix_ms().saturating_sub(remembered.unwrap_or(i64::MAX));
            if self.writer.forget_some(before)? == 0 {
                self.forgot_at = now;
            }
        }
        Ok(())
    }
}

/// Ends the shard when the applier ends without having been asked to: by a panic, or a fault of
/// ours. Without it nothing would be acknowledged, and nobody would know why.
struct Watch(Arc<Inner>);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() || !self.0.is_closing() {
            let reason = "the thread that indexes what is durable has ended";
            self.0.fail(reason.to_owned());
        }
    }
}

fn delivery_of(entry: &Entry) -> Option<DeliveryId> {
    match entry {
        Entry::Message(message) => message.delivery,
        _ => None,
    }
}
