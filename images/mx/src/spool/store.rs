//! The spool itself: the queue, its log, and who waits for either.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use log::{Disk, Log, LogError, Options, Position};
use tokio::sync::Notify;
use wire::ids::{AccountId, DeliveryId, Epoch, ShardName, TransactionId};

use crate::spool::body::Body;
use crate::spool::config::{Clock, Config};
use crate::spool::queue::{BodyAt, Counts, Entry, EntryId, Event, Queue, Retry, State, Target};
use crate::spool::record;
use crate::spool::runner::Outcome;

/// Why the spool does not open.
pub type OpenError = log::OpenError;

/// Most targets of one entry: what a shard takes in one delivery.
const MAX_TARGETS: usize = 1000;

/// A message to be spooled.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// The random id of the SMTP transaction.
    pub transaction_id: TransactionId,
    /// The id that makes delivering it twice harmless.
    pub delivery_id: DeliveryId,
    /// Without angle brackets; empty for bounces.
    pub reverse_path: String,
    /// When MX had it, milliseconds since 1970.
    pub received_at_ms: i64,
    /// The message as the shards are to get it, in any pieces.
    pub body: Vec<Bytes>,
    /// Who is still to get it: at least one, at most [`MAX_TARGETS`].
    pub targets: Vec<NewTarget>,
}

/// One account of a [`NewEntry`].
#[derive(Debug, Clone)]
pub struct NewTarget {
    /// The account.
    pub account: AccountId,
    /// The epoch it was routed by.
    pub epoch: Epoch,
    /// The shard it was routed to.
    pub shard: ShardName,
    /// Header lines that differ by recipient (Return-Path, Delivered-To), ending in CRLF.
    pub prefix: Bytes,
    /// The address, for people.
    pub recipient: String,
}

/// Why a message was not spooled; SMTP says 451 for each.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AcceptError {
    /// The spool holds as much as it may.
    #[error("the spool is full")]
    Full,
    /// There are no targets, or too many.
    #[error("a message for {0} targets")]
    Targets(usize),
    /// The log is busy, or broken.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// The spool. Cheap to clone.
#[derive(Clone)]
pub struct Spool {
    inner: Arc<Inner>,
}

struct Inner {
    log: Log,
    config: Config,
    clock: Clock,
    /// Something is due earlier than the runner knew.
    changed: Notify,
    /// Somebody was refused for want of space.
    short: Notify,
    state: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    queue: Queue,
    /// Entries on their way to the disk: their octets, and the earliest segment they may be in.
    coming: BTreeMap<EntryId, (u64, u64)>,
}

impl Spool {
    /// Recovers the queue from its log, or starts a new one. Blocks.
    pub fn open(disk: Arc<dyn Disk>, config: Config, clock: Clock) -> Result<Self, OpenError> {
        let options = Options {
            segment_bytes: config.segment_bytes,
            ..Options::default()
        };
        let mut state = Inside::default();
        let log = Log::open(disk, options, None, &mut |at, record| {
            state.queue.apply(record::decode(at, &record)?);
            Ok(())
        })?;
        let inner = Inner {
            log,
            config,
            clock,
            changed: Notify::new(),
            short: Notify::new(),
            state: Mutex::new(state),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Takes a message; returns when it is on stable storage. Should the caller go away meanwhile,
    /// the message is spooled or not; its delivery id makes either harmless.
    pub async fn accept(&self, message: NewEntry) -> Result<EntryId, AcceptError> {
        let targets = message.targets.len();
        if targets == 0 || targets > MAX_TARGETS {
            return Err(AcceptError::Targets(targets));
        }
        let (mut entry, ticket) = self.submit(message)?;
        let spool = self.clone();
        // A task of its own, so that what is durable is also known when nobody waits any more.
        let stored = tokio::spawn(async move {
            let answer = ticket.await;
            let mut state = spool.lock();
            state.coming.remove(&entry.id);
            entry.body.position = answer?;
            let id = entry.id;
            state.queue.apply(Event::Accepted(entry));
            drop(state);
            spool.inner.changed.notify_one();
            Ok(id)
        });
        stored
            .await
            .unwrap_or(Err(AcceptError::Log(LogError::Closed)))
    }

    /// Makes dead letters and waiting targets of these entries due now; gives how many targets.
    pub fn retry_now(&self, ids: &[EntryId]) -> Result<usize, LogError> {
        self.retry_where(ids, |target| !matches!(target.state, State::InFlight))
    }

    /// Makes all waiting targets due now, but no dead letters; gives how many.
    pub fn retry_all(&self) -> Result<usize, LogError> {
        let ids: Vec<_> = {
            let state = self.lock();
            state
                .queue
                .after(EntryId(0))
                .map(|entry| entry.id)
                .collect()
        };
        self.retry_where(&ids, |target| matches!(target.state, State::Due(_)))
    }

    /// Drops an entry for good, dead letters too. False if it is not there.
    pub fn remove(&self, id: EntryId) -> Result<bool, LogError> {
        let mut state = self.lock();
        let known = state.queue.get(id).is_some();
        if known {
            self.record(&mut state, Event::Removed(id))?;
        }
        Ok(known)
    }

    /// At most `limit` entries after this one that `wanted` takes.
    pub fn list(
        &self,
        after: EntryId,
        limit: usize,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Vec<Entry> {
        let state = self.lock();
        let entries = state.queue.after(after).filter(|entry| wanted(entry));
        entries.take(limit).cloned().collect()
    }

    /// An entry.
    pub fn show(&self, id: EntryId) -> Option<Entry> {
        self.lock().queue.get(id).cloned()
    }

    /// The body of an entry.
    pub fn body(&self, entry: &Entry) -> Body {
        Body::new(self.clone(), entry)
    }

    /// The spool in numbers.
    pub fn counts(&self) -> Counts {
        self.lock().queue.counts()
    }

    /// Octets on disk, with what is delivered and not reclaimed yet.
    pub fn disk_bytes(&self) -> u64 {
        let segments = self.inner.log.segments();
        segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Syncs of its log since it was opened.
    pub fn syncs(&self) -> u64 {
        self.inner.log.stats().groups
    }

    /// Whether its log broke: nothing more is accepted until the process starts anew.
    pub fn failed(&self) -> bool {
        self.inner.log.failed()
    }

    fn retry_where(
        &self,
        ids: &[EntryId],
        wanted: impl Fn(&Target) -> bool,
    ) -> Result<usize, LogError> {
        let now = self.inner.clock.now();
        let mut state = self.lock();
        let mut retried = 0;
        for id in ids {
            let targets = state.queue.get(*id).map(|entry| entry.targets.clone());
            for target in targets.unwrap_or_default() {
                if wanted(&target) {
                    self.record(&mut state, again(*id, &target, now))?;
                    retried += 1;
                }
            }
        }
        drop(state);
        self.inner.changed.notify_one();
        Ok(retried)
    }

    pub(super) fn config(&self) -> &Config {
        &self.inner.config
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    pub(super) fn log(&self) -> &Log {
        &self.inner.log
    }

    /// Where an entry's body is now.
    pub(super) fn body_at(&self, id: EntryId) -> Option<BodyAt> {
        self.lock().queue.get(id).map(|entry| entry.body)
    }

    /// Waits until something is due that was not.
    pub(super) async fn changed(&self) {
        self.inner.changed.notified().await;
    }

    /// Waits until somebody is refused for want of space.
    pub(super) async fn short_of_space(&self) {
        self.inner.short.notified().await;
    }

    /// Shards in whose queues something waits, and when the first of each is due.
    pub(super) fn due(&self) -> Vec<(ShardName, i64)> {
        let state = self.lock();
        let shards = state.queue.shards().into_iter();
        shards
            .filter_map(|shard| state.queue.next_due(&shard).map(|due| (shard, due)))
            .collect()
    }

    /// Takes what is due longest for a shard.
    pub(super) fn take_due(&self, shard: &ShardName) -> Option<(Entry, Vec<u32>)> {
        let now = self.inner.clock.now();
        self.lock().queue.take_due(now, shard)
    }

    /// Records how an attempt went. Not waited for: were it lost, the target would only be asked
    /// again, and know the delivery id.
    pub(super) fn settle(&self, entry: &Entry, index: u32, outcome: Outcome) {
        let now = self.inner.clock.now();
        let chance = (self.inner.clock.chance)();
        let mut state = self.lock();
        let current = state.queue.get(entry.id);
        let target = current.and_then(|e| e.targets.iter().find(|t| t.index == index));
        let Some(target) = target else {
            return;
        };
        let event = outcome.event(entry, target, &self.inner.config.schedule, now, chance);
        if let Err(error) = self.record(&mut state, event) {
            tracing::warn!(entry = %entry.id, %error, "an attempt's outcome was not recorded");
        }
        drop(state);
        self.inner.changed.notify_one();
    }

    /// Writes an entry with its present state at the end of the log, to free its old segment.
    pub(super) async fn rewrite(&self, id: EntryId, body: Bytes) -> Result<(), LogError> {
        let (ticket, start, length) = {
            let state = self.lock();
            let Some(entry) = state.queue.get(id) else {
                return Ok(());
            };
            let length = body.len() as u64;
            let (record, start) = record::accepted(entry, [body]);
            (self.inner.log.submit(record)?, start, length)
        };
        let position = ticket.await?;
        let body = BodyAt {
            position,
            start,
            length,
        };
        self.lock().queue.moved(id, body);
        Ok(())
    }

    /// Entries in a segment; none if entries may be in it that the queue does not know yet.
    pub(super) fn in_segment(&self, segment: u64) -> Option<Vec<Entry>> {
        let state = self.lock();
        if state.coming.values().any(|(_, from)| *from <= segment) {
            return None;
        }
        let ids = state.queue.in_segment(segment).into_iter();
        Some(ids.filter_map(|id| state.queue.get(id).cloned()).collect())
    }

    /// Checks the bounds and submits the record, in one step.
    fn submit(&self, message: NewEntry) -> Result<(Entry, log::Ticket), AcceptError> {
        let now = self.inner.clock.now();
        let chance = (self.inner.clock.chance)();
        let due = self.inner.config.schedule.next_attempt(1, now, chance);
        let disk = self.disk_bytes();
        let mut state = self.lock();
        let length: u64 = message.body.iter().map(|part| part.len() as u64).sum();
        let coming: u64 = state.coming.values().map(|(bytes, _)| bytes).sum();
        let entries = state.queue.len() + state.coming.len();
        let config = &self.inner.config;
        if entries >= config.max_entries || disk + coming + length > config.max_bytes {
            self.inner.short.notify_one();
            return Err(AcceptError::Full);
        }
        let (mut entry, body) = new_entry(state.queue.new_id(), message, due);
        let (record, start) = record::accepted(&entry, body);
        let position = self.inner.log.end();
        entry.body = BodyAt {
            position,
            start,
            length,
        };
        let ticket = self.inner.log.submit(record)?;
        let coming = (entry.bytes(), position.segment);
        state.coming.insert(entry.id, coming);
        Ok((entry, ticket))
    }

    /// Records an event and applies it, in the same order as all others.
    fn record(&self, state: &mut Inside, event: Event) -> Result<(), LogError> {
        let answer = self.inner.log.submit(record::event(&event));
        state.queue.apply(event);
        answer.map(drop)
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_entry(id: EntryId, message: NewEntry, due: i64) -> (Entry, Vec<Bytes>) {
    let target = |(index, target): (usize, NewTarget)| Target {
        index: index as u32,
        account: target.account,
        epoch: target.epoch,
        shard: target.shard,
        prefix: target.prefix,
        recipient: target.recipient,
        attempts: 1,
        last_error: String::new(),
        state: State::Due(due),
    };
    let entry = Entry {
        id,
        transaction_id: message.transaction_id.as_str().to_owned(),
        delivery_id: message.delivery_id,
        reverse_path: message.reverse_path,
        received_at_ms: message.received_at_ms,
        body: BodyAt {
            position: Position {
                segment: 0,
                offset: 0,
            },
            start: 0,
            length: 0,
        },
        targets: message
            .targets
            .into_iter()
            .enumerate()
            .map(target)
            .collect(),
    };
    (entry, message.body)
}

/// Due now, whatever it waited for.
fn again(id: EntryId, target: &Target, now_ms: i64) -> Event {
    Event::Retry(Retry {
        entry: id,
        target: target.index,
        attempts: target.attempts,
        last_error: target.last_error.clone(),
        next_attempt_ms: now_ms,
        shard: target.shard.clone(),
        epoch: target.epoch,
    })
}
