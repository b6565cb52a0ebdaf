//! The map as processes share it: one writer, many readers, and the news of changed accounts.
//!
//! A read-write lock, not generations behind an atomic pointer: a generation would copy hundreds of
//! megabytes per change or need persistent trees at several times the memory. Readers hold the lock
//! for one batch of lookups (microseconds), the writer for one transaction; a reload is built aside
//! and swapped in. The lock is sharded, so that readers on several cores do not fight for one word.
//! The guards are not `Send`, so no task can hold one while it waits.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};

use crate::store::{Changes, Revision};

use super::{AccountChange, ApplyError, Map};

/// Transactions that a follower may be behind before it has to start again.
const NEWS_KEPT: usize = 4096;

/// The last transactions that changed accounts, for followers that come back.
#[derive(Default)]
struct Kept {
    /// All after this one are here.
    after: Revision,
    changes: VecDeque<(Revision, Arc<[AccountChange]>)>,
}

impl Kept {
    fn add(&mut self, revision: Revision, accounts: Arc<[AccountChange]>) {
        self.changes.push_back((revision, accounts));
        if self.changes.len() > NEWS_KEPT
            && let Some((oldest, _)) = self.changes.pop_front()
        {
            self.after = oldest;
        }
    }

    /// None: they are not all here.
    fn since(&self, after: Revision) -> Option<Vec<AccountChange>> {
        let later = self.changes.iter().filter(|(at, _)| *at > after);
        let accounts = later.flat_map(|(_, accounts)| accounts.iter().cloned());
        (after >= self.after).then(|| accounts.collect())
    }
}

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
    map: ShardedLock<Map>,
    reached: watch::Sender<Revision>,
    news: broadcast::Sender<News>,
    /// Goes up whenever the word on a shard changed.
    words: watch::Sender<u64>,
    /// Changed under the map's lock only.
    kept: Mutex<Kept>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            map: ShardedLock::default(),
            reached: watch::Sender::new(Revision(0)),
            news: broadcast::Sender::new(NEWS_KEPT),
            words: watch::Sender::new(0),
            kept: Mutex::default(),
        }
    }
}

impl Shared {
    /// The map as it is now; hold it for microseconds, since the writer waits.
    pub fn read(&self) -> ShardedLockReadGuard<'_, Map> {
        // A writer that panicked has changed at most part of one key, and the process ends then.
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> ShardedLockWriteGuard<'_, Map> {
        self.map.write().unwrap_or_else(PoisonError::into_inner)
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

    /// What changed after a revision, the revision now, and all the news after exactly that. None: it
    /// is no longer known, or that revision is not reached.
    pub fn resume(
        &self,
        after: Revision,
    ) -> Option<(Vec<AccountChange>, Revision, broadcast::Receiver<News>)> {
        let _map = self.read();
        let missed = self.kept.lock().since(after)?;
        let revision = self.revision();
        (after <= revision).then(|| (missed, revision, self.news.subscribe()))
    }

    /// The revision now, if `news` has nothing more up to it.
    pub fn all_told(&self, news: &broadcast::Receiver<News>) -> Option<Revision> {
        let _map = self.read();
        news.is_empty().then(|| self.revision())
    }

    /// Applies one transaction. After an error the map is to be loaded again.
    pub fn apply(&self, transaction: &Changes) -> Result<(), ApplyError> {
        let mut map = self.write();
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
            let (revision, accounts) = (transaction.revision, Arc::from(accounts));
            self.kept.lock().add(revision, Arc::clone(&accounts));
            let news = News::Changed { revision, accounts };
            // Nobody may be listening.
            drop(self.news.send(news));
        }
        Ok(())
    }

    /// Swaps in a map that was loaded at `revision`.
    pub fn swap(&self, loaded: Map, revision: Revision) {
        let mut map = self.write();
        let old = std::mem::replace(&mut *map, loaded);
        self.advance(revision);
        *self.kept.lock() = Kept {
            after: self.revision(),
            ..Kept::default()
        };
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

#[cfg(test)]
mod tests {
    use wire::ids::AccountId;

    use super::*;

    fn change(octet: u8) -> AccountChange {
        AccountChange {
            account: AccountId::from_bytes([octet; 16]),
            before: None,
            after: None,
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_nothing_is_left_out() {
        let mut kept = Kept {
            after: Revision(10),
            ..Kept::default()
        };
        assert_eq!(kept.since(Revision(10)), Some(Vec::new()));
        assert_eq!(kept.since(Revision(9)), None);
        kept.add(Revision(12), [change(1)].into());
        kept.add(Revision(15), [change(2), change(3)].into());
        assert_eq!(kept.since(Revision(11)).unwrap().len(), 3);
        assert_eq!(kept.since(Revision(12)), Some(vec![change(2), change(3)]));
        for number in 0..NEWS_KEPT as u64 {
            kept.add(Revision(100 + number), [change(4)].into());
        }
        assert_eq!(kept.changes.len(), NEWS_KEPT);
        assert_eq!(kept.since(Revision(12)), None);
        assert_eq!(kept.since(Revision(15)).unwrap().len(), NEWS_KEPT);
    }
}
