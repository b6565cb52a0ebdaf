//! One shard at work: decides changes, queues them to the heap, and sees them indexed.
//!
//! A change is decided under the lock of its account and queued to the log there, so the heap has
//! each account's changes in the order of decision. The applier indexes what is synced, in the
//! heap's order; only then is it visible, remembered, and acknowledged, if the lease still holds.
//!
//! That rule is kept here and nowhere else, by the verbs of [`Shard`]: `change`, `expunge`,
//! `deliver`, `build`, and `begin_session` for those who read.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use segments::Log;
use tokio::sync::watch;
use wire::ids::{AccountId, Incarnation, ShardName};

use crate::account::Account;
use crate::account::access::{Assigned, Place};
use crate::index::{Index, IndexError};
use crate::lease::Lease;
use crate::metrics::Metrics;
use crate::records::Entry;
use crate::volume::Volume;

mod applier;
pub mod body;
mod build;
mod change;
pub mod deliver;
mod doubts;
mod ending;
mod inner;
mod only_reads;
mod sessions;
mod settings;
mod slots;
mod totals;
mod unready;

use self::applier::Applier;
pub(crate) use self::build::{Build, BuildError};
pub use self::change::Expunge;
pub use self::doubts::Doubt;
use self::doubts::Doubts;
pub use self::ending::Ending;
use self::inner::Inner;
pub use self::only_reads::OnlyReads;
use self::sessions::Sessions;
pub(crate) use self::sessions::{NotBegun, Session};
pub use self::settings::{CHECKPOINT_BYTES, KEPT_ACCOUNTS, PATIENCE, REMEMBERED, Settings};
use self::slots::Slots;
pub(crate) use self::totals::Tally;
pub use self::totals::Totals;
use self::unready::Refused;
pub use self::unready::{Passes, Unready, Why};

/// A shard at work. Cheap to clone.
#[derive(Clone)]
pub struct Shard {
    inner: Arc<Inner>,
}

impl Shard {
    /// Starts to serve an open volume. Blocks.
    pub fn start(
        name: ShardName,
        volume: Volume,
        lease: Lease,
        settings: Settings,
        metrics: Metrics,
    ) -> Result<Self, IndexError> {
        let index = volume.writer.index().clone();
        let Tally { totals, over } = volume.tally;
        let row = index.volume()?.unwrap_or_default();
        let incarnation = row.incarnation;
        // A volume is known by its id once it was opened.
        let volume_id = match row.volume_id.is_empty() {
            true => Bytes::copy_from_slice(uuid::Uuid::new_v4().as_bytes()),
            false => row.volume_id,
        };
        let (sender, receiver) = mpsc::channel();
        let inner = Arc::new(Inner {
            name,
            log: volume.log,
            index,
            slots: Slots::new(settings.kept_accounts),
            lease,
            sessions: Sessions::default(),
            doubts: Doubts::default(),
            metrics,
            queue: Mutex::new(Some(sender)),
            applier: Mutex::default(),
            assigned: RwLock::default(),
            changes: watch::Sender::new(0),
            totals: Mutex::new(totals),
            quota_changes: Mutex::new(over),
            volume_id,
            incarnation: RwLock::new(Incarnation(incarnation)),
            fatal: watch::Sender::new(None),
            nearly_full: AtomicBool::new(false),
            only_reads: OnceLock::new(),
            settings,
        });
        // It ends, and the next start rebuilds the index: nothing that is read here gets better.
        let (shard, doubt) = (Arc::downgrade(&inner), volume.doubt);
        inner.index.on_damage(move |error| {
            doubt.leave(error);
            if let Some(shard) = shard.upgrade() {
                shard.fail(Ending::Damaged(error.to_string().into()));
            }
        });
        let applier = Applier::new(Arc::clone(&inner), volume.writer, receiver);
        let thread = std::thread::Builder::new()
            .name("applier".to_owned())
            .spawn(move || applier.run());
        match thread {
            Ok(thread) => *inner.applier.lock() = Some(thread),
            Err(error) => inner.fail(Ending::NoThread(Arc::new(error))),
        }
        Ok(Self { inner })
    }

    /// Takes no more changes, waits until what is queued is indexed, and syncs the index. Blocks.
    pub fn close(&self) {
        drop(self.inner.queue.lock().take());
        let thread = self.inner.applier.lock().take();
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
            volume_id: self.inner.volume_id.clone(),
        });
        let done = match self.inner.queue(opened, &[], &[], &mut []) {
            Ok(receipt) => self.inner.done(receipt).await,
            Err(unready) => Err(unready),
        };
        *self.inner.incarnation.write() = incarnation;
        match done {
            // A full volume is read all the same, under the lease; nothing is acknowledged.
            Err(_) if self.is_read_only() => Ok(()),
            done => done,
        }
    }

    /// The volume, and how far it is durable. Reads the index.
    pub fn volume(&self) -> Result<wire::rpc::Volume, IndexError> {
        let opened = self.inner.index.volume()?.map_or(0, |row| row.incarnation);
        let tip = self.inner.log.tip();
        Ok(wire::rpc::Volume {
            id: self.inner.volume_id.clone(),
            opened,
            segment: tip.at.segment,
            offset: tip.at.offset,
            sum: tip.sum,
        })
    }

    /// This run's incarnation; before it is granted, the volume's last.
    pub fn incarnation(&self) -> Incarnation {
        *self.inner.incarnation.read()
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
        *self.inner.totals.lock()
    }

    /// Live sessions.
    pub fn sessions(&self) -> usize {
        self.inner.sessions.count()
    }

    /// Up to `most` accounts whose quota state changed and was not told yet.
    pub fn quota_changes(&self, most: usize) -> Vec<(AccountId, bool)> {
        let changes = self.inner.quota_changes.lock();
        changes
            .iter()
            .take(most)
            .map(|(id, over)| (*id, *over))
            .collect()
    }

    /// The directory was told these.
    pub fn quota_told(&self, told: &[(AccountId, bool)]) {
        let mut changes = self.inner.quota_changes.lock();
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

    /// Whether it has.
    pub fn is_nearly_full(&self) -> bool {
        self.inner.is_nearly_full()
    }

    /// Whether nothing more is written before a new start.
    pub fn is_read_only(&self) -> bool {
        self.only_reads().is_some()
    }

    /// Why nothing more is written before a new start, if that is so.
    pub fn only_reads(&self) -> Option<OnlyReads> {
        self.inner.only_reads()
    }

    /// The directory's word on an account.
    pub fn assign(&self, id: AccountId, assigned: Assigned) {
        let mut map = self.inner.assigned.write();
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
        *self.inner.assigned.write() = all;
        self.inner.tell_change();
    }

    /// What the directory last said about an account.
    pub fn assigned(&self, id: AccountId) -> Option<Assigned> {
        self.inner.assigned.read().get(&id).copied()
    }

    /// Readers' questions to the directory, for the first who asks for them.
    pub fn doubts(&self) -> Option<tokio::sync::mpsc::Receiver<Doubt>> {
        self.inner.doubts.take()
    }

    /// The account with all that is queued for it.
    pub fn account(&self, id: AccountId) -> Result<Option<Account>, IndexError> {
        let slot = self.inner.slots.get(id);
        let desk = slot.desk(&self.inner.index)?;
        Ok(desk.account.clone())
    }

    /// Resolves when the shard must end, with the reason.
    pub async fn failed(&self) -> Ending {
        let mut fatal = self.inner.fatal.subscribe();
        loop {
            if let Some(ending) = fatal.borrow_and_update().clone() {
                return ending;
            }
            // The sender lives in `self`, so the wait cannot fail.
            let _ = fatal.changed().await;
        }
    }

    /// The shard must end: sessions end at once, nothing more is acknowledged.
    pub fn fail(&self, ending: Ending) {
        self.inner.fail(ending);
    }
}
