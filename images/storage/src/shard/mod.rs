//! One shard at work: decides changes, queues them to the heap, and sees them indexed.
//!
//! A change is decided under the lock of its account and queued to the log there, so the heap has
//! each account's changes in the order of decision. The applier indexes what is synced, in the
//! heap's order; only then is it visible, remembered, and acknowledged, if the lease still holds.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use log::{Log, LogError};
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use wire::ids::{AccountId, Epoch, Incarnation, ShardName};

use crate::account::access::{Access, Assigned, Intent, Place, access};
use crate::account::{Account, Inconsistent};
use crate::index::writer::{Effect, Summary, fingerprint};
use crate::index::{Index, IndexError};
use crate::lease::{Lease, NotHeld};
use crate::metrics::Metrics;
use crate::records::{Change, Decoded, Entry};
use crate::volume::Volume;

mod applier;
pub mod body;
pub mod deliver;
mod sessions;
pub(crate) mod slots;

use self::applier::{Applier, Pending, Work};
pub(crate) use self::sessions::{Session, Sessions};
use self::slots::{Desk, Slot, Slots};

/// Accounts kept in memory besides those at work; one is well below a kilobyte.
pub const KEPT_ACCOUNTS: usize = 50_000;

/// How long a request waits for a fence, or for the directory's word, to come.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A delivery is remembered this long: a sender's five days, the spool's five, and slack.
pub const REMEMBERED: Duration = Duration::from_secs(12 * 24 * 3600);

/// Octets of heap between two syncs of the index.
pub const CHECKPOINT_BYTES: u64 = 64 << 20;

/// What a shard may be told, mostly so that tests are quick.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// See [`KEPT_ACCOUNTS`].
    pub kept_accounts: usize,
    /// See [`PATIENCE`].
    #[serde(with = "kit::config::duration")]
    pub patience: Duration,
    /// See [`REMEMBERED`].
    #[serde(with = "kit::config::duration")]
    pub remembered: Duration,
    /// See [`CHECKPOINT_BYTES`].
    #[serde(with = "kit::config::size")]
    pub checkpoint_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kept_accounts: KEPT_ACCOUNTS,
            patience: PATIENCE,
            remembered: REMEMBERED,
            checkpoint_bytes: CHECKPOINT_BYTES,
        }
    }
}

/// Why a request is not followed now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unready {
    /// Another epoch: ask the directory for at least this one. 0: this shard does not know.
    #[error("the account is elsewhere since epoch {0}")]
    Moved(Epoch),
    /// Try again later; says why.
    #[error("{0}")]
    Retry(String),
}

impl Unready {
    pub(crate) fn retry(reason: impl Into<String>) -> Self {
        Self::Retry(reason.into())
    }
}

impl From<IndexError> for Unready {
    fn from(error: IndexError) -> Self {
        tracing::error!(%error, "the index cannot be read");
        Self::retry("the index cannot be read")
    }
}

impl From<NotHeld> for Unready {
    fn from(not_held: NotHeld) -> Self {
        Self::Retry(not_held.to_string())
    }
}

impl From<LogError> for Unready {
    fn from(error: LogError) -> Self {
        Self::Retry(error.to_string())
    }
}

/// What the shard holds in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Accounts it has the data of and may have to serve.
    pub accounts: u64,
    /// Prefixes and bodies of their live messages.
    pub octets: u64,
    /// Those messages.
    pub messages: u64,
}

/// A shard at work. Cheap to clone.
#[derive(Clone)]
pub struct Shard {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) name: ShardName,
    pub(crate) log: Log,
    pub(crate) index: Index,
    pub(crate) slots: Slots,
    pub(crate) lease: Lease,
    pub(crate) sessions: Sessions,
    pub(crate) settings: Settings,
    pub(crate) metrics: Metrics,
    /// Positions in the heap and places in this queue are given together.
    queue: Mutex<Option<mpsc::Sender<Pending>>>,
    applier: Mutex<Option<JoinHandle<()>>>,
    /// What the directory last said.
    assigned: RwLock<HashMap<AccountId, Assigned>>,
    /// Goes up whenever an account's ownership, or the directory's word on one, changed.
    changes: watch::Sender<u64>,
    totals: Mutex<Totals>,
    /// Accounts whose quota state the directory has not been told.
    quota_changes: Mutex<BTreeMap<AccountId, bool>>,
    incarnation: RwLock<Incarnation>,
    /// Set when the shard must end; says why.
    fatal: watch::Sender<Option<String>>,
    nearly_full: AtomicBool,
}

/// Resolves when a queued record is durable and indexed.
pub(crate) struct Receipt(oneshot::Receiver<()>);

impl Receipt {
    pub(crate) async fn done(self) -> Result<(), Unready> {
        let stopped = |_| Unready::retry("the shard is stopping");
        self.0.await.map_err(stopped)
    }
}

/// An account at work, with its slot.
pub(crate) type AtWork<'a> = (&'a Arc<Slot>, &'a mut Desk);

impl Shard {
    /// Starts to serve an open volume. Counts its accounts; blocks.
    pub fn start(
        name: ShardName,
        volume: Volume,
        lease: Lease,
        settings: Settings,
        metrics: Metrics,
    ) -> Result<Self, IndexError> {
        let index = volume.writer.index().clone();
        let (totals, over) = count(&index)?;
        let incarnation = index.volume()?.map(|row| row.incarnation).unwrap_or(0);
        let (sender, receiver) = mpsc::channel();
        let inner = Arc::new(Inner {
            name,
            log: volume.log,
            index,
            slots: Slots::new(settings.kept_accounts),
            lease,
            sessions: Sessions::default(),
            metrics,
            queue: Mutex::new(Some(sender)),
            applier: Mutex::default(),
            assigned: RwLock::default(),
            changes: watch::Sender::new(0),
            totals: Mutex::new(totals),
            quota_changes: Mutex::new(over),
            incarnation: RwLock::new(Incarnation(incarnation)),
            fatal: watch::Sender::new(None),
            nearly_full: AtomicBool::new(false),
            settings,
        });
        let applier = Applier::new(Arc::clone(&inner), volume.writer, receiver);
        let thread = std::thread::Builder::new()
            .name("applier".to_owned())
            .spawn(move || applier.run());
        match thread {
            Ok(thread) => *lock(&inner.applier) = Some(thread),
            Err(error) => inner.fail(format!("cannot start a thread: {error}")),
        }
        Ok(Self { inner })
    }

    /// Takes no more changes, waits until what is queued is indexed, and syncs the index. Blocks.
    pub fn close(&self) {
        drop(lock(&self.inner.queue).take());
        let thread = lock(&self.inner.applier).take();
        if let Some(thread) = thread {
            // A panic there was already reported by its thread.
            let _ = thread.join();
        }
        self.inner.sessions.end_all();
    }

    /// Records that this incarnation opened the volume; durable when it returns.
    pub async fn open_incarnation(
        &self,
        cluster: Bytes,
        incarnation: Incarnation,
    ) -> Result<(), Unready> {
        let opened = Entry::VolumeOpened(crate::records::proto::VolumeOpened {
            cluster_id: cluster,
            shard: self.inner.name.to_string(),
            incarnation: incarnation.0,
        });
        self.inner.queue(opened, &[], &[], &mut [])?.done().await?;
        *write(&self.inner.incarnation) = incarnation;
        Ok(())
    }

    /// This run's incarnation; before it is granted, the volume's last.
    pub fn incarnation(&self) -> Incarnation {
        *read(&self.inner.incarnation)
    }

    /// The shard's lease.
    pub fn lease(&self) -> &Lease {
        &self.inner.lease
    }

    /// The index, to read.
    pub fn index(&self) -> &Index {
        &self.inner.index
    }

    /// The heap, to read.
    pub fn log(&self) -> &Log {
        &self.inner.log
    }

    /// Its name.
    pub fn name(&self) -> &ShardName {
        &self.inner.name
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// What it holds.
    pub fn totals(&self) -> Totals {
        *lock(&self.inner.totals)
    }

    /// Live sessions.
    pub fn sessions(&self) -> usize {
        self.inner.sessions.count()
    }

    /// Up to `most` accounts whose quota state changed and was not told yet.
    pub fn quota_changes(&self, most: usize) -> Vec<(AccountId, bool)> {
        let changes = lock(&self.inner.quota_changes);
        changes
            .iter()
            .take(most)
            .map(|(id, over)| (*id, *over))
            .collect()
    }

    /// The directory was told these.
    pub fn quota_told(&self, told: &[(AccountId, bool)]) {
        let mut changes = lock(&self.inner.quota_changes);
        for (id, over) in told {
            if changes.get(id) == Some(over) {
                changes.remove(id);
            }
        }
    }

    /// Whether the volume has too little room for more mail.
    pub fn set_nearly_full(&self, full: bool) {
        self.inner.nearly_full.store(full, Ordering::Relaxed);
    }

    /// The directory's word on an account.
    pub fn assign(&self, id: AccountId, assigned: Assigned) {
        let mut map = write(&self.inner.assigned);
        let newer = |old: &Assigned| old.epoch <= assigned.epoch;
        if map.get(&id).is_none_or(newer) {
            map.insert(id, assigned);
        }
        drop(map);
        if assigned.place != Place::Active {
            self.inner.sessions.end(id);
        }
        self.inner.tell_change();
    }

    /// The directory's word on all accounts, in place of what it said before.
    pub fn assign_all(&self, all: HashMap<AccountId, Assigned>) {
        let active = |id| all.get(&id).is_some_and(|word| word.place == Place::Active);
        self.inner.sessions.retain(active);
        *write(&self.inner.assigned) = all;
        self.inner.tell_change();
    }

    /// What the directory last said about an account.
    pub fn assigned(&self, id: AccountId) -> Option<Assigned> {
        read(&self.inner.assigned).get(&id).copied()
    }

    /// The account with all that is queued for it.
    pub fn account(&self, id: AccountId) -> Result<Option<Account>, IndexError> {
        let slot = self.inner.slots.get(id);
        let desk = slot.desk(&self.inner.index)?;
        Ok(desk.account.clone())
    }

    /// Decides a change of one account and makes it durable; with `Ok(None)` waits until all that
    /// was decided before is. Under the lease in both cases.
    pub async fn change<E: From<Unready>>(
        &self,
        id: AccountId,
        decide: impl FnOnce(Option<&Account>) -> Result<Option<Change>, E>,
    ) -> Result<(), E> {
        let slot = self.inner.slots.get(id);
        let receipt = {
            let mut desk = slot.desk(&self.inner.index).map_err(Unready::from)?;
            match decide(desk.account.as_ref())? {
                None => None,
                Some(change) => {
                    let entry = Entry::Change(id, change);
                    let queued = self.inner.queue(entry, &[], &[], &mut [(&slot, &mut desk)]);
                    Some(queued?)
                }
            }
        };
        match receipt {
            Some(receipt) => receipt.done().await?,
            None => self.inner.settle(&slot).await?,
        }
        self.inner.lease.for_write().await.map_err(Unready::from)?;
        Ok(())
    }

    /// Resolves when the shard must end, with the reason.
    pub async fn failed(&self) -> String {
        let mut fatal = self.inner.fatal.subscribe();
        match fatal.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "the shard is gone".to_owned(),
        }
    }

    /// The shard must end: sessions end at once, nothing more is acknowledged.
    pub fn fail(&self, reason: String) {
        self.inner.fail(reason);
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
}

impl Inner {
    /// Queues a record for the accounts at work, whose desks the caller has locked, and applies it
    /// to their states. Targets of a message come in the order of `work`.
    pub(crate) fn queue(
        &self,
        entry: Entry,
        prefixes: &[Bytes],
        body: &[Bytes],
        work: &mut [AtWork<'_>],
    ) -> Result<Receipt, Unready> {
        let (record, layout) = entry.encode(prefixes, body);
        let before_body = record.parts.first().map_or(&[][..], |head| head);
        let sum = fingerprint(record.kind, before_body);
        let (done, receipt) = oneshot::channel();
        let slots = work.iter().map(|(slot, _)| Arc::clone(slot)).collect();
        for (at, (_, desk)) in work.iter_mut().enumerate() {
            // The caller decided on this very state, so a contradiction is a fault of ours; it
            // is seen before anything is written.
            let mut next = desk.account.clone();
            apply(&mut next, &entry, at).map_err(|error| Unready::retry(error.to_string()))?;
            desk.next = Some(next);
        }
        let octets = record.len() as u64;
        {
            let queue = lock(&self.queue);
            let sender = queue
                .as_ref()
                .ok_or(Unready::retry("the shard is stopping"))?;
            let ticket = self.log.submit(record)?;
            let decoded = Decoded { entry, layout };
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
        for (_, desk) in work {
            if let Some(next) = desk.next.take() {
                desk.account = next;
            }
            desk.queued += 1;
        }
        Ok(Receipt(receipt))
    }

    /// Waits until all that is queued for an account is durable and indexed.
    pub(crate) async fn settle(&self, slot: &Slot) -> Result<(), Unready> {
        let queued = slot.lock().queued;
        let mut fatal = self.fatal.subscribe();
        tokio::select! {
            () = slot.wait_until(|desk| desk.indexed >= queued) => Ok(()),
            _ = fatal.wait_for(Option::is_some) => Err(Unready::retry("the shard is stopping")),
        }
    }

    /// Acts on an account at its desk once a request of this epoch may; waits for that, bounded.
    pub(crate) async fn act<T>(
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
    pub(crate) fn access(
        &self,
        id: AccountId,
        desk: &Desk,
        epoch: Epoch,
        intent: Intent,
    ) -> Result<(), Refused> {
        let assigned = read(&self.assigned).get(&id).copied();
        match access(desk.account.as_ref(), assigned, epoch, intent) {
            Access::Granted => Ok(()),
            Access::Moved(epoch) => Err(Refused::Now(Unready::Moved(epoch))),
            Access::NotYet(reason) => Err(Refused::After(Unready::retry(reason))),
            Access::Unknown => Err(Refused::After(Unready::Moved(Epoch(0)))),
            Access::Missing => {
                self.metrics.missing_accounts.inc();
                let reason = "the account is assigned to this shard and is not there";
                Err(Refused::Now(Unready::retry(reason)))
            }
        }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn is_nearly_full(&self) -> bool {
        self.nearly_full.load(Ordering::Relaxed)
    }

    pub(crate) fn fail(&self, reason: String) {
        let first = self.fatal.send_if_modified(|fatal| {
            let first = fatal.is_none();
            fatal.get_or_insert(reason);
            first
        });
        if first {
            self.sessions.end_all();
        }
    }

    /// What indexed changes mean for the rest of the shard.
    fn effects(&self, effects: Vec<Effect>) {
        let mut ownership = false;
        let mut totals = lock(&self.totals);
        for effect in effects {
            totals.replace(effect.before, effect.after);
            if effect.before.over_quota != effect.after.over_quota && effect.after.held {
                lock(&self.quota_changes).insert(effect.account, effect.after.over_quota);
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

    fn tell_change(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

/// Why a request may not act on an account.
pub(crate) enum Refused {
    /// Say so.
    Now(Unready),
    /// Wait for a change, bounded, then say so.
    After(Unready),
}

impl Totals {
    fn replace(&mut self, before: Summary, after: Summary) {
        let change = |total: u64, before: u64, after: u64| (total + after).saturating_sub(before);
        let held = |summary: Summary| u64::from(summary.held);
        self.accounts = change(self.accounts, held(before), held(after));
        self.octets = change(self.octets, before.usage.octets, after.usage.octets);
        self.messages = change(self.messages, before.usage.messages, after.usage.messages);
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

fn count(index: &Index) -> Result<(Totals, BTreeMap<AccountId, bool>), IndexError> {
    let mut totals = Totals::default();
    let mut over = BTreeMap::new();
    for account in index.accounts() {
        let (id, account) = account?;
        let summary = Summary::of(Some(&account));
        totals.replace(Summary::default(), summary);
        if summary.over_quota {
            over.insert(id, true);
        }
    }
    Ok((totals, over))
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
