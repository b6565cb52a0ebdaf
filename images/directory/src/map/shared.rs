//! The map as processes share it: one writer, many readers, and the news of changed accounts.
//!
//! A read-write lock, not generations behind an atomic pointer: a generation would copy hundreds of
//! megabytes per change or need persistent trees at several times the memory. Readers hold the lock
//! for one batch of lookups (microseconds), the writer for one transaction; a reload is built aside
//! and swapped in. The guards are not `Send`, so no task can hold one while it waits.

use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard};
use tokio::sync::{broadcast, watch};

use crate::store::{Changes, Revision};

use super::{AccountChange, ApplyError, Map};

/// Transactions that a follower may be behind before it has to start again.
const NEWS_KEPT: usize = 4096;

/// What became known.
#[derive(Debug, Clone)]
pub enum News {
    /// These accounts changed in one transaction.
    Changed {
        /// The transaction.
        revision: Revision,
        /// The accounts.
        accounts: Arc<[AccountChange]>,
    },
    /// The whole map was swapped: everything may have changed.
    Reloaded,
}

/// The shared map.
pub struct Shared {
    map: RwLock<Map>,
    reached: watch::Sender<Revision>,
    news: broadcast::Sender<News>,
    /// Goes up whenever the word on a shard changed.
    words: watch::Sender<u64>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            map: RwLock::default(),
            reached: watch::Sender::new(Revision(0)),
            news: broadcast::Sender::new(NEWS_KEPT),
            words: watch::Sender::new(0),
        }
    }
}

impl Shared {
    /// The map as it is now; hold it for microseconds, since the writer waits.
    pub fn read(&self) -> RwLockReadGuard<'_, Map> {
        // A writer that panicked has changed at most part of one key, and the process ends then.
        self.map.read()
    }

    /// The revision up to which everything is applied; 0: nothing is loaded yet.
    pub fn reached(&self) -> watch::Receiver<Revision> {
        self.reached.subscribe()
    }

    /// The revision of the map that [`Self::read`] shows, at least.
    pub fn revision(&self) -> Revision {
        *self.reached.borrow()
    }

    /// Says when the word on a shard changed; [`Self::read`] then shows the new one.
    pub fn words(&self) -> watch::Receiver<u64> {
        self.words.subscribe()
    }

    /// What `look` sees, its revision, and all the news after exactly that.
    pub fn follow<T>(
        &self,
        look: impl FnOnce(&Map) -> T,
    ) -> (T, Revision, broadcast::Receiver<News>) {
        let map = self.read();
        (look(&map), self.revision(), self.news.subscribe())
    }

    /// Applies one transaction. After an error the map is to be loaded again.
    pub fn apply(&self, transaction: &Changes) -> Result<(), ApplyError> {
        let mut map = self.map.write();
        let words_changed = map.words_changed();
        let mut accounts = Vec::new();
        for change in &transaction.changes {
            accounts.extend(map.apply(&change.key, change.value.as_deref())?);
        }
        self.advance(transaction.revision);
        if map.words_changed() != words_changed {
            self.words.send_modify(|count| *count += 1);
        }
        if !accounts.is_empty() {
            let news = News::Changed {
                revision: transaction.revision,
                accounts: accounts.into(),
            };
            // Nobody may be listening.
            drop(self.news.send(news));
        }
        Ok(())
    }

    /// Swaps in a map that was loaded at `revision`.
    pub fn swap(&self, loaded: Map, revision: Revision) {
        let mut map = self.map.write();
        let old = std::mem::replace(&mut *map, loaded);
        self.advance(revision);
        drop(self.news.send(News::Reloaded));
        self.words.send_modify(|count| *count += 1);
        drop(map);
        drop(old);
    }

    /// Called under the lock, so that revision, map and news are one.
    fn advance(&self, revision: Revision) {
        self.reached.send_if_modified(|reached| {
            let more = revision > *reached;
            *reached = revision.max(*reached);
            more
        });
    }
}
