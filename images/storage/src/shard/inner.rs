//! What all parts of a shard share: decides changes and queues them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use segments::Log;
use tokio::sync::{oneshot, watch};
use wire::ids::{AccountId, Epoch, Incarnation, ShardName};

use super::applier::{Pending, Work};
use super::slots::{Desk, Mark, Slot, Slots};
use super::{Doubts, Ending, OnlyReads, Refused, Sessions, Settings, Totals, Unready, Why};
use crate::account::access::{Access, Assigned, Intent, access};
use crate::account::{Account, Inconsistent};
use crate::index::Index;
use crate::index::writer::{Effect, fingerprint};
use crate::lease::Lease;
use crate::metrics::Metrics;
use crate::records::{Decoded, Entry, prefix_sums};

pub(super) struct Inner {
    pub(super) name: ShardName,
    pub(super) log: Log,
    pub(super) index: Index,
    pub(super) slots: Slots,
    pub(super) lease: Lease,
    pub(super) sessions: Sessions,
    pub(super) doubts: Doubts,
    pub(super) settings: Settings,
    pub(super) metrics: Metrics,
    /// Positions in the heap and places in this queue are given together.
    pub(super) queue: Mutex<Option<mpsc::Sender<Pending>>>,
    pub(super) applier: Mutex<Option<JoinHandle<()>>>,
    /// What the directory last said.
    pub(super) assigned: RwLock<HashMap<AccountId, Assigned>>,
    /// Goes up whenever an account's ownership, or the directory's word on one, changed.
    pub(super) changes: watch::Sender<u64>,
    pub(super) totals: Mutex<Totals>,
    /// Accounts whose quota state the directory has not been told.
    pub(super) quota_changes: Mutex<BTreeMap<AccountId, bool>>,
    /// Of a new volume: the id that it gets.
    pub(super) volume_id: Bytes,
    pub(super) incarnation: RwLock<Incarnation>,
    /// Set when the shard must end; says why.
    pub(super) fatal: watch::Sender<Option<Ending>>,
    pub(super) nearly_full: AtomicBool,
    /// Set when nothing more can be written: changes are refused until a new start.
    pub(super) only_reads: OnceLock<OnlyReads>,
}

/// Resolves when a queued record is durable and indexed.
pub(super) struct Receipt(oneshot::Receiver<()>);

/// What came of a decision about an account.
pub(super) enum Decided {
    /// A record was queued.
    Queued(Receipt),
    /// There is nothing to write; what was queued at this mark must be durable.
    Stands(Mark),
}

/// An account at work, with its slot.
pub(super) type AtWork<'a> = (&'a Arc<Slot>, &'a mut Desk);

impl Inner {
    /// Queues a record for the accounts at work, whose desks the caller has locked, and applies it
    /// to their states. Targets of a message come in the order of `work`.
    pub(super) fn queue(
        &self,
        entry: Entry,
        prefixes: &[Bytes],
        body: &[Bytes],
        work: &mut [AtWork<'_>],
    ) -> Result<Receipt, Unready> {
        let (record, layout) = entry.encode(prefixes, body);
        let before_body = record.parts.first().map_or(&[][..], |head| head);
        let sum = fingerprint(record.kind, before_body);
        let prefix_sums = prefix_sums(prefixes);
        let (done, receipt) = oneshot::channel();
        let slots = work.iter().map(|(slot, _)| Arc::clone(slot)).collect();
        let mut next = Vec::with_capacity(work.len());
        for (at, (_, desk)) in work.iter().enumerate() {
            // The caller decided on this very state, so a contradiction is a fault of ours; it
            // is seen before anything is written.
            let mut account = desk.account.clone();
            apply(&mut account, &entry, at).map_err(Why::Inconsistent)?;
            next.push(account);
        }
        let octets = record.len() as u64;
        {
            let queue = self.queue.lock();
            let sender = queue.as_ref().ok_or(Why::Stopping)?;
            if self.fatal.borrow().is_some() || self.only_reads().is_some() {
                return Err(self.no_changes());
            }
            let ticket = self.log.submit(record).map_err(|error| {
                let why = Why::from(&error);
                if why == Why::Heap {
                    self.fail(Ending::Heap(error));
                }
                why
            })?;
            let decoded = Decoded {
                entry,
                layout,
                prefix_sums,
            };
            let work = Work {
                decoded,
                sum,
                octets,
                slots,
                done,
            };
            let pending = Pending { ticket, work };
            // The applier only goes when the shard fails, and then receipts say so.
            let _ = sender.send(pending);
        }
        for ((_, desk), account) in work.iter_mut().zip(next) {
            desk.account = account;
            desk.queued += 1;
        }
        Ok(Receipt(receipt))
    }

    /// Waits until what was decided is durable and indexed, then asks the lease: only now may it be
    /// acknowledged.
    pub(super) async fn acknowledge(&self, slot: &Slot, decided: Decided) -> Result<(), Unready> {
        match decided {
            Decided::Queued(receipt) => self.done(receipt).await?,
            Decided::Stands(mark) => self.settle(slot, mark).await?,
        }
        Ok(self.lease.for_write().await?)
    }

    /// Waits until a queued record is durable and indexed.
    pub(super) async fn done(&self, receipt: Receipt) -> Result<(), Unready> {
        // Whoever drops the sender has said why before.
        receipt.0.await.map_err(|_| self.no_changes())
    }

    /// Waits until all that was queued for an account at `mark` is durable and indexed.
    pub(super) async fn settle(&self, slot: &Slot, mark: Mark) -> Result<(), Unready> {
        let mut fatal = self.fatal.subscribe();
        let settled = tokio::select! {
            settled = slot.settled(mark) => settled,
            _ = fatal.wait_for(Option::is_some) => false,
        };
        match settled {
            true => Ok(()),
            false => Err(self.no_changes()),
        }
    }

    /// Acts on an account at its desk once a request of this epoch may; waits for that, bounded.
    pub(super) async fn act<T>(
        &self,
        slot: &Arc<Slot>,
        epoch: Epoch,
        intent: Intent,
        act: impl FnOnce(&mut Desk) -> Result<T, Unready>,
    ) -> Result<T, Unready> {
        let deadline = tokio::time::Instant::now() + self.settings.patience;
        let mut changes = self.changes.subscribe();
        loop {
            let refusal = {
                let mut desk = slot.desk(&self.index)?;
                match self.access(slot.id, &desk, epoch, intent) {
                    Ok(()) => return act(&mut desk),
                    Err(Refused::Now(unready)) => return Err(unready),
                    Err(Refused::After(unready)) => unready,
                }
            };
            match tokio::time::timeout_at(deadline, changes.changed()).await {
                Ok(Ok(())) => {}
                _ => return Err(refusal),
            }
        }
    }

    /// Whether a request may act on an account now, or should wait, or be refused.
    pub(super) fn access(
        &self,
        id: AccountId,
        desk: &Desk,
        epoch: Epoch,
        intent: Intent,
    ) -> Result<(), Refused> {
        let assigned = self.assigned.read().get(&id).copied();
        self.access_by(assigned, desk, epoch, intent)
    }

    /// As `access`, by this word of the directory.
    pub(super) fn access_by(
        &self,
        assigned: Option<Assigned>,
        desk: &Desk,
        epoch: Epoch,
        intent: Intent,
    ) -> Result<(), Refused> {
        match access(desk.account.as_ref(), assigned, epoch, intent) {
            Access::Granted => Ok(()),
            Access::Moved(epoch) => Err(Refused::Now(Unready::Moved(epoch))),
            Access::NotYet(not_yet) => Err(Refused::After(Why::NotYet(not_yet).into())),
            Access::Unknown => Err(Refused::After(Unready::Moved(Epoch(0)))),
            Access::Missing => {
                self.metrics.missing_accounts.inc();
                Err(Refused::Now(Why::Missing.into()))
            }
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn is_nearly_full(&self) -> bool {
        self.nearly_full.load(Ordering::Relaxed)
    }

    /// What is acknowledged is read, and nothing more is written.
    pub(super) fn stop_writing(&self, why: OnlyReads) {
        self.only_reads.get_or_init(|| why);
        self.metrics.read_only.set(1);
    }

    pub(super) fn only_reads(&self) -> Option<OnlyReads> {
        self.only_reads.get().copied()
    }

    /// Why no change is taken, or none comes about.
    fn no_changes(&self) -> Unready {
        Unready::Retry(if self.fatal.borrow().is_some() {
            Why::Ended
        } else {
            self.only_reads().map_or(Why::Stopping, OnlyReads::why)
        })
    }

    /// Whether it was told to take no more changes.
    pub(super) fn is_closing(&self) -> bool {
        self.queue.lock().is_none()
    }

    pub(super) fn fail(&self, ending: Ending) {
        let first = self.fatal.send_if_modified(|fatal| {
            let first = fatal.is_none();
            fatal.get_or_insert(ending);
            first
        });
        if first {
            self.sessions.end_all();
        }
    }

    /// What indexed changes mean for the rest of the shard.
    pub(super) fn effects(&self, effects: Vec<Effect>) {
        let mut ownership = false;
        let mut totals = self.totals.lock();
        for effect in effects {
            totals.replace(effect.before, effect.after);
            if effect.before.over_quota != effect.after.over_quota && effect.after.held {
                self.quota_changes
                    .lock()
                    .insert(effect.account, effect.after.over_quota);
            }
            if effect.ownership {
                ownership = true;
                if !effect.after.serves {
                    self.sessions.end(effect.account);
                }
            }
        }
        drop(totals);
        if ownership {
            self.tell_change();
        }
    }

    pub(super) fn tell_change(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

/// Applies an entry to the account that is its `at`-th target, or the only one.
fn apply(account: &mut Option<Account>, entry: &Entry, at: usize) -> Result<(), Inconsistent> {
    match (entry, account.as_mut()) {
        (Entry::VolumeOpened(_), _) => Ok(()),
        (Entry::Change(_, change), _) => Account::apply(account, change),
        (Entry::Message(message), Some(account)) => {
            let target = &message.targets[at];
            let octets = u64::from(target.prefix_length) + message.body_length;
            account.apply_target(target, octets)
        }
        (Entry::Imported(imported), Some(account)) => account.apply_imported(imported),
        (_, None) => Err(Inconsistent("a message for no account")),
    }
}
