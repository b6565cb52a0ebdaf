//! Accounts in memory: those at work, and the most recent others.
//!
//! All decisions about an account are made under its own lock, which is held for as long as it
//! takes to decide and to queue a record, never while waiting for a disk's sync or for another
//! account. Several locks at once are taken in the order of ids.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use wire::ids::{AccountId, DeliveryId};

use crate::account::Account;
use crate::index::{Index, IndexError};
use crate::records::proto::Holding;

/// One account in memory.
pub(super) struct Slot {
    pub(super) id: AccountId,
    desk: Mutex<Desk>,
    /// Something that was queued for this account is indexed.
    pub(super) changed: Notify,
}

/// Where the account's changes are decided: its state with all that is queued.
#[derive(Default)]
pub(super) struct Desk {
    loaded: bool,
    /// `None`: this shard knows nothing of it.
    pub(super) account: Option<Account>,
    /// Deliveries that are queued and not yet indexed.
    pub(super) in_flight: HashSet<DeliveryId>,
    /// Records queued since it was loaded.
    pub(super) queued: u64,
    /// Of those, how many are indexed.
    pub(super) indexed: u64,
    /// The last queued record that removes or alters messages.
    pub(super) last_removal: u64,
    /// How often what was queued was refused after all.
    refusals: u64,
}

/// What was queued for an account when something was decided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    queued: u64,
    refusals: u64,
}

impl Desk {
    /// What is queued now.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            queued: self.queued,
            refusals: self.refusals,
        }
    }

    /// Whether a move has fenced the account.
    pub(super) fn is_fenced(&self) -> bool {
        let account = self.account.as_ref();
        account.is_some_and(|account| account.holding == Holding::Fenced)
    }
}

impl Slot {
    fn new(id: AccountId) -> Self {
        Self {
            id,
            desk: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// The desk, its account loaded. May read a disk.
    pub(super) fn desk(&self, index: &Index) -> Result<MutexGuard<'_, Desk>, IndexError> {
        let mut desk = self.lock();
        if !desk.loaded {
            desk.account = index.account(self.id)?;
            desk.loaded = true;
        }
        Ok(desk)
    }

    /// The desk as it is.
    pub(super) fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock()
    }

    /// A record that was queued here is indexed.
    pub(super) fn indexed(&self, delivery: Option<DeliveryId>) {
        let mut desk = self.lock();
        desk.indexed += 1;
        if let Some(delivery) = delivery {
            desk.in_flight.remove(&delivery);
        }
        drop(desk);
        self.changed.notify_waiters();
    }

    /// Nothing that is queued here will be indexed: the account is again what the index says.
    pub(super) fn refused(&self) {
        let mut desk = self.lock();
        *desk = Desk {
            queued: desk.queued,
            indexed: desk.queued,
            refusals: desk.refusals + 1,
            ..Desk::default()
        };
        drop(desk);
        self.changed.notify_waiters();
    }

    /// Waits until all that was queued at `mark` is durable and indexed; false: it was refused.
    pub(super) async fn settled(&self, mark: Mark) -> bool {
        let refused = |desk: &Desk| desk.refusals != mark.refusals;
        self.wait_until(|desk| desk.indexed >= mark.queued || refused(desk))
            .await;
        !refused(&self.lock())
    }

    /// Waits until what `is_done` asks of the desk holds.
    pub(super) async fn wait_until(&self, is_done: impl Fn(&Desk) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if is_done(&self.lock()) {
                return;
            }
            changed.await;
        }
    }
}

/// The table of accounts in memory.
pub(super) struct Slots {
    table: Mutex<Table>,
    capacity: usize,
}

#[derive(Default)]
struct Table {
    slots: HashMap<AccountId, Arc<Slot>>,
    /// Each account in the table once, in the order in which they are looked at for eviction.
    turn: VecDeque<AccountId>,
}

impl Slots {
    /// Keeps about `capacity` accounts; those at work are kept in any case.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            table: Mutex::default(),
            capacity,
        }
    }

    /// The account's slot. While the caller has it, nobody else makes another.
    pub(super) fn get(&self, id: AccountId) -> Arc<Slot> {
        let mut table = self.table.lock();
        if let Some(slot) = table.slots.get(&id) {
            return Arc::clone(slot);
        }
        table.make_room(self.capacity);
        let slot = Arc::new(Slot::new(id));
        table.slots.insert(id, Arc::clone(&slot));
        table.turn.push_back(id);
        slot
    }
}

impl Table {
    /// Evicts what nobody uses. Looks at a few only, so that no caller waits long.
    fn make_room(&mut self, capacity: usize) {
        const LOOKS: usize = 4;
        for _ in 0..LOOKS {
            if self.slots.len() < capacity {
                return;
            }
            let Some(id) = self.turn.pop_front() else {
                return;
            };
            // Only the table has it, and only through the table could another get it.
            let unused = |slot: &Arc<Slot>| Arc::strong_count(slot) == 1;
            match self.slots.get(&id).is_some_and(unused) {
                true => drop(self.slots.remove(&id)),
                false => self.turn.push_back(id),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> AccountId {
        AccountId::from_bytes([n; 16])
    }

    #[test]
    fn keeps_those_at_work_and_evicts_others() {
        let slots = Slots::new(2);
        let busy = slots.get(id(1));
        busy.lock().queued = 7;
        for n in 2..50 {
            slots.get(id(n));
        }
        assert_eq!(slots.get(id(1)).lock().queued, 7);
        assert!(slots.table.lock().slots.len() <= 3);
        drop(busy);
        for n in 2..50 {
            slots.get(id(n));
        }
        assert_eq!(slots.get(id(1)).lock().queued, 0);
    }

    #[tokio::test]
    async fn waits_for_what_is_queued() {
        let slots = Slots::new(2);
        let slot = slots.get(id(1));
        slot.lock().queued = 1;
        let waiting = settled(&slot);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        slot.indexed(None);
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn what_is_refused_is_not_settled() {
        let slots = Slots::new(2);
        let slot = slots.get(id(1));
        slot.lock().queued = 2;
        let waiting = settled(&slot);
        tokio::task::yield_now().await;
        slot.refused();
        assert!(!waiting.await.unwrap());
        // Who decides afterwards decides on what is indexed.
        assert!(settled(&slot).await.unwrap());
    }

    fn settled(slot: &Arc<Slot>) -> tokio::task::JoinHandle<bool> {
        let mark = slot.lock().mark();
        let slot = Arc::clone(slot);
        tokio::spawn(async move { slot.settled(mark).await })
    }
}
