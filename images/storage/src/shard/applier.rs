//! Indexes what is durable, in the heap's order, and tells those who wait.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use futures::FutureExt as _;
use segments::{LogError, Position, Ticket};
use tokio::sync::oneshot;
use wire::ids::DeliveryId;

use super::slots::Slot;
use super::{Ending, Inner, OnlyReads};
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
    /// Whether what is there can be read on, and why no more.
    fn only_reads(&self) -> Option<OnlyReads> {
        match self {
            Self::Log(error) => error.is_full().then_some(OnlyReads::Full),
            Self::Apply(ApplyError::Index(error)) if error.is_full() => Some(OnlyReads::Full),
            Self::Apply(ApplyError::Index(error)) => {
                error.is_of_writes().then_some(OnlyReads::Index)
            }
            Self::Apply(ApplyError::Inconsistent { .. }) => None,
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
        let Err(stop) = self.work() else {
            return;
        };
        match stop.only_reads() {
            Some(why) => self.only_read(&stop, why),
            None => {
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

    /// What is acknowledged is still read; whoever waits for a change, or comes with one, is refused.
    /// What of it is durable nevertheless is there after the next start.
    fn only_read(&mut self, stop: &Stop, why: OnlyReads) {
        tracing::error!(error = %stop, "{why}: the shard only reads");
        self.shard.stop_writing(why);
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

#[cfg(test)]
mod tests {
    use segments::Options;
    use segments::sim::SimDisk;
    use wire::ids::AccountId;

    use super::*;
    use crate::lease::Lease;
    use crate::metrics::Metrics;
    use crate::opening::Progress;
    use crate::records::Change;
    use crate::records::proto::Created;
    use crate::shard::{Settings, Shard, Unready, Why};
    use crate::volume::{Volume, open};

    const ACCOUNTS: [AccountId; 2] = [
        AccountId::from_bytes([1; 16]),
        AccountId::from_bytes([2; 16]),
    ];

    fn start(volume: Volume) -> Shard {
        let lease = Lease::new(Arc::new(|| Duration::ZERO), Duration::from_secs(1));
        lease.granted(Duration::ZERO, Duration::from_secs(20));
        let name = "shard-1".parse().unwrap();
        Shard::start(name, volume, lease, Settings::default(), Metrics::default()).unwrap()
    }

    async fn create(shard: &Shard, id: AccountId) -> Result<(), Unready> {
        let created = Change::Created(Created {
            epoch: 1,
            uid_validity: 7,
            limits: None,
        });
        let new = |held: Option<&_>| Ok(held.is_none().then_some(created));
        shard.change(id, new).await
    }

    /// What is acknowledged is read on, and a new start goes on from there.
    #[tokio::test]
    async fn an_index_that_takes_no_writes_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let index = folder.path().join("index");
        let sim = SimDisk::new(1);
        let progress = Progress::default();
        let volume = || open(sim.disk(), Options::default(), &index, None, &progress).unwrap();
        let shard = start(volume());
        create(&shard, ACCOUNTS[0]).await.unwrap();
        crate::index::tests::poison(shard.index(), &index);
        let refused = create(&shard, ACCOUNTS[1]).await;
        assert_eq!(refused, Err(Why::IndexWrites.into()));
        assert_eq!(shard.only_reads(), Some(OnlyReads::Index));
        assert!(shard.index().account(ACCOUNTS[0]).unwrap().is_some());
        assert!(shard.inner.fatal.borrow().is_none());
        shard.close();
        drop(shard);

        let again = volume();
        assert_eq!(again.rebuilt, None);
        let shard = start(again);
        for id in ACCOUNTS {
            create(&shard, id).await.unwrap();
        }
        assert_eq!(shard.totals().accounts, 2);
        shard.close();
    }
}
