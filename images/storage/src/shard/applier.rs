//! Indexes what is durable, in the heap's order, and tells those who wait.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use futures::FutureExt as _;
use segments::{LogError, Position, Ticket};
use tokio::sync::oneshot;
use wire::ids::DeliveryId;

use super::slots::Slot;
use super::{Ending, Inner};
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

impl Work {
    fn refuse(self) {
        self.slots.iter().for_each(|slot| slot.refused());
    }
}

pub(super) struct Applier {
    shard: Arc<Inner>,
    writer: Writer,
    queue: Receiver<Pending>,
    /// Taken from the queue, not durable yet.
    next: Option<Pending>,
    /// Durable, not indexed yet.
    batch: Vec<(Position, Work)>,
    /// Not durable: the log stopped.
    failed: Option<Work>,
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
}

impl From<IndexError> for Stop {
    fn from(error: IndexError) -> Self {
        Self::Apply(error.into())
    }
}

impl Stop {
    fn is_full(&self) -> bool {
        match self {
            Self::Log(error) => error.is_full(),
            Self::Apply(ApplyError::Index(error)) => error.is_full(),
            Self::Apply(ApplyError::Inconsistent { .. }) => false,
        }
    }

    fn ending(self) -> Ending {
        match self {
            Self::Log(error) => Ending::Heap(error),
            Self::Apply(error) => Ending::Index(Arc::new(error)),
        }
    }
}

impl Applier {
    pub(super) fn new(shard: Arc<Inner>, writer: Writer, queue: Receiver<Pending>) -> Self {
        Self {
            shard,
            writer,
            queue,
            next: None,
            batch: Vec::new(),
            failed: None,
            since_checkpoint: 0,
            forgot_at: Duration::ZERO,
        }
    }

    /// Runs until the queue is closed and empty, or something fails.
    pub(super) fn run(mut self) {
        let _watch = Watch(Arc::clone(&self.shard));
        match self.work() {
            Ok(()) => {}
            Err(stop) if stop.is_full() => self.only_read(&stop),
            Err(stop) => {
                tracing::error!(error = %stop, "the shard stops");
                self.shard.fail(stop.ending());
            }
        }
    }

    fn work(&mut self) -> Result<(), Stop> {
        loop {
            let first = match self.next.take() {
                Some(pending) => pending,
                None => match self.queue.recv_timeout(self.pause()) {
                    Ok(pending) => pending,
                    Err(RecvTimeoutError::Timeout) => {
                        self.tidy()?;
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                },
            };
            let gathered = self.gather(first);
            self.apply()?;
            gathered?;
            self.tidy()?;
        }
        self.writer.index().persist()?;
        Ok(())
    }

    /// How long there may be nothing to do.
    fn pause(&self) -> Duration {
        match self.writer.is_sweeping() {
            true => Duration::ZERO,
            false => IDLE,
        }
    }

    /// Waits for the first; takes those after it that are durable too.
    fn gather(&mut self, first: Pending) -> Result<(), LogError> {
        match first.ticket.wait() {
            Ok(at) => self.batch.push((at, first.work)),
            Err(error) => {
                self.failed = Some(first.work);
                return Err(error);
            }
        }
        while self.batch.len() < BATCH {
            let Ok(mut pending) = self.queue.try_recv() else {
                break;
            };
            match (&mut pending.ticket).now_or_never() {
                Some(Ok(at)) => self.batch.push((at, pending.work)),
                Some(Err(error)) => {
                    self.failed = Some(pending.work);
                    return Err(error);
                }
                None => {
                    self.next = Some(pending);
                    break;
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self) -> Result<(), Stop> {
        let sum = self.batch.last().map_or(0, |(_, work)| work.sum);
        let records = self.batch.iter().map(|(at, work)| (*at, &work.decoded));
        let effects = self.writer.apply(records, sum)?;
        self.shard.effects(effects);
        for (_, work) in self.batch.drain(..) {
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

    /// The volume is full. What is acknowledged is still read; whoever waits for a change, or comes
    /// with one, is refused. What of it is durable nevertheless is there after the next start.
    fn only_read(&mut self, stop: &Stop) {
        tracing::error!(error = %stop, "the volume is full: the shard only reads");
        self.shard.stop_writing();
        let next = self.next.take().map(|pending| pending.work);
        let batch = self.batch.drain(..).map(|(_, work)| work);
        let taken = batch.chain(self.failed.take()).chain(next);
        taken.for_each(Work::refuse);
        while let Ok(pending) = self.queue.recv() {
            pending.work.refuse();
        }
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
        match std::thread::panicking() {
            true => self.0.fail(Ending::Panicked),
            false if self.0.is_closing() => {}
            false => self.0.fail(Ending::Unasked),
        }
    }
}

fn delivery_of(entry: &Entry) -> Option<DeliveryId> {
    match entry {
        Entry::Message(message) => message.delivery,
        _ => None,
    }
}
