//! What is durable and visible, shared by the threads of a store and its readers.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::history::History;
use super::index::{Hasher, Index, KeyHash, Place, Slot};
use crate::store::{Changes, Error, Key, Revision};

/// One store's memory.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) hasher: Hasher,
    state: Mutex<State>,
    /// The newest revision that is durable and applied.
    head: watch::Sender<Revision>,
    /// Why the store stopped for good.
    failed: OnceLock<String>,
    /// Held by every load under way: no segment goes meanwhile.
    pins: Arc<()>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) index: Index,
    /// Keys of transactions that are decided but not yet durable. Only decisions see them.
    pub(super) pending: HashMap<Key, Pending>,
    history: History,
    /// The segment that was last emptied, durably.
    pub(super) emptied: u32,
}

/// What a key will be once the last transaction that writes it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) revision: Revision,
    pub(super) present: bool,
}

/// What a key is, pending transactions counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Absent,
    Pending(Revision),
    Durable(Place),
}

impl Shared {
    pub(super) fn new(hasher: Hasher, index: Index, history: History, head: Revision) -> Self {
        Self {
            hasher,
            state: Mutex::new(State {
                index,
                pending: HashMap::new(),
                history,
                emptied: 0,
            }),
            head: watch::Sender::new(head),
            failed: OnceLock::new(),
            pins: Arc::new(()),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn head(&self) -> Revision {
        *self.head.borrow()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Revision> {
        self.head.subscribe()
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        match self.failed.get() {
            Some(reason) => Err(Error::Failed(reason.clone())),
            None => Ok(()),
        }
    }

    /// Stops the store for good; only the first reason is kept.
    pub(super) fn fail(&self, reason: &str) {
        if self.failed.set(reason.to_owned()).is_ok() {
            self.head.send_modify(|_| ());
        }
    }

    pub(super) fn pin(&self) -> Arc<()> {
        Arc::clone(&self.pins)
    }

    pub(super) fn is_pinned(&self) -> bool {
        Arc::strong_count(&self.pins) > 1
    }

    pub(super) fn standing(&self, key: &str) -> Standing {
        let hash = self.hasher.hash(key);
        let state = self.state();
        match state.pending.get(key) {
            Some(pending) if pending.present => Standing::Pending(pending.revision),
            Some(_) => Standing::Absent,
            None => state
                .index
                .get(hash)
                .map_or(Standing::Absent, Standing::Durable),
        }
    }

    pub(super) fn pend(&self, changes: &Changes) {
        let mut state = self.state();
        for change in &changes.changes {
            let pending = Pending {
                revision: changes.revision,
                present: change.value.is_some(),
            };
            state.pending.insert(change.key.clone(), pending);
        }
    }

    /// A transaction became durable at `place`: now it is visible.
    pub(super) fn apply(&self, place: Place, mut changes: Changes) {
        let hashes: Vec<_> = changes
            .changes
            .iter()
            .map(|c| self.hasher.hash(&c.key))
            .collect();
        let revision = changes.revision;
        let mut state = self.state();
        let mut hashes = hashes.into_iter();
        changes.changes.retain(|change| {
            let was = |pending: &Pending| pending.revision == revision;
            if state.pending.get(&change.key).is_some_and(was) {
                state.pending.remove(&change.key);
            }
            let Some(hash) = hashes.next() else {
                return false;
            };
            match change.value {
                Some(_) => state.index.set(hash, place),
                // Deleting what is not there is no change.
                None => return state.index.remove(hash),
            }
            true
        });
        state.history.push(changes);
        drop(state);
        self.head.send_replace(revision);
    }

    /// Entries were written again at `place`; those that changed meanwhile stay as they are.
    pub(super) fn carry(&self, place: Place, slots: &[Slot], emptied: Option<u32>) {
        let mut state = self.state();
        for slot in slots {
            if state.index.get(slot.hash) == Some(slot.place) {
                state.index.set(slot.hash, place);
            }
        }
        state.emptied = emptied.unwrap_or(state.emptied);
    }

    /// Where keys are, all at one revision.
    pub(super) fn places(&self, hashes: &[KeyHash]) -> Vec<Option<Place>> {
        let state = self.state();
        hashes.iter().map(|hash| state.index.get(*hash)).collect()
    }

    /// Every key's place, and the revision that this shows.
    pub(super) fn everything(&self) -> (Revision, Vec<Slot>) {
        let state = self.state();
        // The lock is held, so nothing is applied between the two.
        (state.history.newest(), state.index.in_order(|_| true))
    }

    pub(super) fn after(&self, after: Revision, most: usize) -> Result<Vec<Changes>, Error> {
        self.state().history.after(after, most)
    }
}
