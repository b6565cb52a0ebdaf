//! A store whose watches and loads can be held back, or that is away altogether: what a replica sees
//! that lags, that is loading, or that is cut off. For tests of what a directory says then; nothing
//! that ships uses it.

use std::time::Duration;

use futures::future::FutureExt;
use futures::stream::{BoxStream, StreamExt};
use tokio::sync::watch;

use super::{
    Alarm, Answer, Changes, Entry, Error, Key, LeaseId, Load, Outcome, Revision, SharedStore,
    Store, Txn,
};

/// How much of the store comes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Through {
    All,
    /// No watch delivers and no load begins.
    CallsOnly,
    /// As before, and every call fails.
    Nothing,
}

/// Hands everything through that is not held back.
pub struct Lagging {
    inner: SharedStore,
    through: watch::Sender<Through>,
    /// How often its revision was asked for: a proof that a replica is current begins so.
    asked: watch::Sender<u64>,
}

impl Lagging {
    /// Nothing is held at first.
    pub fn new(inner: SharedStore) -> Self {
        Self {
            inner,
            through: watch::Sender::new(Through::All),
            asked: watch::Sender::new(0),
        }
    }

    /// From now on no watch delivers, and loads wait.
    pub fn hold(&self) {
        self.through.send_replace(Through::CallsOnly);
    }

    /// From now on the store is away: calls fail, watches are silent.
    pub fn cut_off(&self) {
        self.through.send_replace(Through::Nothing);
    }

    /// Watches deliver what was held back, and everything goes on.
    pub fn release(&self) {
        self.through.send_replace(Through::All);
    }

    /// The same, once a replica wants a proof that it is current.
    pub async fn release_when_asked(&self) {
        let mut asked = self.asked.subscribe();
        let _ = asked.changed().await;
        self.release();
    }

    fn reach(&self) -> Result<&SharedStore, Error> {
        match *self.through.borrow() {
            Through::All | Through::CallsOnly => Ok(&self.inner),
            Through::Nothing => Err(Error::Unavailable("it is cut off".to_owned())),
        }
    }
}

/// Waits until nothing is held; a store that is gone holds nothing back any more.
async fn released(mut through: watch::Receiver<Through>) {
    let _ = through.wait_for(|through| *through == Through::All).await;
}

impl Store for Lagging {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn load(&self) -> Answer<'_, Load> {
        async {
            released(self.through.subscribe()).await;
            self.inner.load().await
        }
        .boxed()
    }

    fn get(&self, keys: Vec<Key>) -> Answer<'_, Vec<Option<Entry>>> {
        async { self.reach()?.get(keys).await }.boxed()
    }

    fn watch(&self, after: Revision) -> BoxStream<'static, Result<Changes, Error>> {
        let through = self.through.subscribe();
        let deliver = move |changes| {
            let through = through.clone();
            async move {
                released(through).await;
                changes
            }
        };
        self.inner.watch(after).then(deliver).boxed()
    }

    fn head(&self) -> Answer<'_, Revision> {
        self.asked.send_modify(|asked| *asked += 1);
        async { self.reach()?.head().await }.boxed()
    }

    fn commit(&self, txn: Txn) -> Answer<'_, Outcome> {
        async { self.reach()?.commit(txn).await }.boxed()
    }

    fn grant(&self, ttl: Duration) -> Answer<'_, LeaseId> {
        async move { self.reach()?.grant(ttl).await }.boxed()
    }

    fn keep_alive(&self, lease: LeaseId) -> Answer<'_, Duration> {
        async move { self.reach()?.keep_alive(lease).await }.boxed()
    }

    fn revoke(&self, lease: LeaseId) -> Answer<'_, ()> {
        async move { self.reach()?.revoke(lease).await }.boxed()
    }

    fn alarms(&self) -> Answer<'_, Vec<Alarm>> {
        async { self.reach()?.alarms().await }.boxed()
    }
}
