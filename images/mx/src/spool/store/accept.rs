//! Taking messages in.

use bytes::Bytes;
use segments::{LogError, Position, Space};
use wire::ids::{AccountId, DeliveryId, Epoch, ShardName, TransactionId};

use crate::spool::queue::{BodyAt, Entry, EntryId, Event, State, Target};
use crate::spool::record;
use crate::spool::store::Spool;

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
    /// Nothing but its shard's absence keeps it: it is due as soon as the shard is there.
    pub at_once: bool,
}

/// Why a message was not spooled; SMTP says 451 for each.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AcceptError {
    /// The spool holds as much as it may.
    #[error("the spool is full")]
    Full,
    /// Its volume is nearly full.
    #[error("the spool's volume is nearly full")]
    NoRoom,
    /// There are no targets, or too many.
    #[error("a message for {0} targets")]
    Targets(usize),
    /// The log is busy, or broken.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Spool {
    /// Takes a message; returns when it is on stable storage. Should the caller go away meanwhile,
    /// the message is spooled or not; its delivery id makes either harmless.
    pub async fn accept(&self, message: NewEntry) -> Result<EntryId, AcceptError> {
        let targets = message.targets.len();
        if targets == 0 || targets > MAX_TARGETS {
            return Err(AcceptError::Targets(targets));
        }
        let space = self.look().await;
        let (mut entry, ticket) = self.submit(message, space).inspect_err(|_| self.tell())?;
        let spool = self.clone();
        // A task of its own, so that what is durable is also known when nobody waits any more.
        let stored = tokio::spawn(async move {
            let answer = ticket.await;
            let mut state = spool.lock();
            state.coming.remove(&entry.id);
            let id = entry.id;
            match answer {
                Ok(position) => entry.body.position = position,
                Err(error) => {
                    drop(state);
                    spool.tell();
                    return Err(error.into());
                }
            }
            state.queue.apply(Event::Accepted(entry));
            drop(state);
            spool.inner.changed.notify_one();
            spool.check_growth();
            Ok(id)
        });
        stored
            .await
            .unwrap_or(Err(AcceptError::Log(LogError::Closed)))
    }

    /// Checks the bounds and submits the record, in one step.
    fn submit(
        &self,
        message: NewEntry,
        space: Space,
    ) -> Result<(Entry, segments::Ticket), AcceptError> {
        let now = self.inner.clock.now();
        let chance = (self.inner.clock.chance)();
        let later = self.inner.config.schedule().next_attempt(1, now, chance);
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
        if self.is_too_full(space, coming + length) {
            self.inner.short.notify_one();
            return Err(AcceptError::NoRoom);
        }
        let (mut entry, body) = new_entry(state.queue.new_id(), message, (now, later));
        let (record, start) = record::accepted(&entry, body);
        let log = self.log();
        let position = log.end();
        entry.body = BodyAt {
            position,
            start,
            length,
        };
        let ticket = log.submit(record)?;
        let coming = (entry.bytes(), position);
        state.coming.insert(entry.id, coming);
        Ok((entry, ticket))
    }
}

fn new_entry(id: EntryId, message: NewEntry, (now, later): (i64, i64)) -> (Entry, Vec<Bytes>) {
    let target = |(index, target): (usize, NewTarget)| Target {
        index: index as u32,
        account: target.account,
        epoch: target.epoch,
        shard: target.shard,
        prefix: target.prefix,
        recipient: target.recipient,
        attempts: 1,
        last_error: String::new(),
        state: State::Due(if target.at_once { now } else { later }),
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
