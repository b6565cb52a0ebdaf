//! A store whose watches can be held back: what a replica that lags sees. For tests of what a
//! directory says then; nothing that ships uses it.

use std::time::Duration;

use futures::stream::{BoxStream, StreamExt};
use tokio::sync::watch;

use super::{
    Answer, Changes, Entry, Error, Key, LeaseId, Load, Outcome, Revision, SharedStore, Store, Txn,
};

/// Hands everything through, but for the watches' changes while they are held.
pub struct Lagging {
    inner: SharedStore,
    held: watch::Sender<bool>,
}

impl Lagging {
    /// Nothing is held at first.
    pub fn new(inner: SharedStore) -> Self {
        Self {
            inner,
            held: watch::Sender::new(false),
        }
    }

    /// From now on no watch delivers.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    /// Watches deliver what was held back, and go on.
    pub fn release(&self) {
        self.held.send_replace(false);
    }
}

impl Store for Lagging {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn load(&self) -> Answer<'_, Load> {
        self.inner.load()
    }

    fn get(&self, keys: Vec<Key>) -> Answer<'_, Vec<Option<Entry>>> {
        self.inner.get(keys)
    }

    fn watch(&self, after: Revision) -> BoxStream<'static, Result<Changes, Error>> {
        let held = self.held.subscribe();
        let deliver = move |changes| {
            let mut held = held.clone();
            async move {
                // A store that is gone holds nothing back any more.
                let _ = held.wait_for(|held| !held).await;
                changes
            }
        };
        self.inner.watch(after).then(deliver).boxed()
    }

    fn head(&self) -> Answer<'_, Revision> {
        self.inner.head()
    }

    fn commit(&self, txn: Txn) -> Answer<'_, Outcome> {
        self.inner.commit(txn)
    }

    fn grant(&self, ttl: Duration) -> Answer<'_, LeaseId> {
        self.inner.grant(ttl)
    }

    fn keep_alive(&self, lease: LeaseId) -> Answer<'_, Duration> {
        self.inner.keep_alive(lease)
    }

    fn revoke(&self, lease: LeaseId) -> Answer<'_, ()> {
        self.inner.revoke(lease)
    }
}
