//! A store that tells how its writes end: what a replica counts, logs and shows.

use std::sync::Arc;
use std::time::Duration;

use futures::future::FutureExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::{
    Alarm, Answer, Changes, Entry, Error, Key, LeaseId, Load, Outcome, Revision, SharedStore,
    Store, Txn,
};

/// How a store's writes end. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Writes {
    ended: Family<Ended, Counter>,
    /// What the last write that was not taken was told; none: the last one was taken.
    fault: Arc<Mutex<Option<Error>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    /// committed, conflict, unknown, unavailable, full or failed.
    outcome: &'static str,
}

impl Writes {
    /// Names the counter in a registry.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Transactions of the store, by how they ended";
        registry.register("store_writes", help, self.ended.clone());
    }

    /// Why the last write was not taken; none: it was.
    pub fn fault(&self) -> Option<Error> {
        self.fault.lock().clone()
    }

    fn note(&self, committed: &Result<Outcome, Error>) {
        let outcome = label(committed);
        self.ended.get_or_create(&Ended { outcome }).inc();
        let now = committed.as_ref().err().filter(|error| is_fault(error));
        let before = std::mem::replace(&mut *self.fault.lock(), now.cloned());
        match (before, now) {
            (None, Some(error)) => tracing::warn!(%error, "the store takes no writes"),
            (Some(_), None) => tracing::info!("the store takes writes again"),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

fn label(committed: &Result<Outcome, Error>) -> &'static str {
    match committed {
        Ok(Outcome::Committed(_)) => "committed",
        Ok(Outcome::Conflict) => "conflict",
        Err(Error::Unknown(_)) => "unknown",
        Err(Error::Unavailable(_) | Error::LeaseGone | Error::Compacted(_)) => "unavailable",
        Err(Error::Full(_)) => "full",
        Err(Error::Failed(_) | Error::Malformed(_)) => "failed",
    }
}

/// Whether the store is at fault, and not whoever wrote.
fn is_fault(error: &Error) -> bool {
    match error {
        Error::Unknown(_) | Error::Unavailable(_) | Error::Full(_) | Error::Failed(_) => true,
        Error::LeaseGone | Error::Compacted(_) | Error::Malformed(_) => false,
    }
}

/// Hands everything through, and notes how writes end.
pub struct Observed {
    inner: SharedStore,
    writes: Writes,
}

impl Observed {
    /// Over a store.
    pub fn new(inner: SharedStore, writes: Writes) -> Self {
        Self { inner, writes }
    }
}

impl Store for Observed {
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
        self.inner.watch(after)
    }

    fn head(&self) -> Answer<'_, Revision> {
        self.inner.head()
    }

    fn commit(&self, txn: Txn) -> Answer<'_, Outcome> {
        async {
            let committed = self.inner.commit(txn).await;
            self.writes.note(&committed);
            committed
        }
        .boxed()
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

    fn alarms(&self) -> Answer<'_, Vec<Alarm>> {
        self.inner.alarms()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_until_a_write_is_taken() {
        let writes = Writes::default();
        let full = || Err(Error::Full("at its quota".to_owned()));
        writes.note(&full());
        assert_eq!(writes.fault(), full().err());
        // A writer's own mistake says nothing of the store.
        for fine in [Ok(Outcome::Conflict), Err(Error::LeaseGone)] {
            writes.note(&full());
            writes.note(&fine);
            assert_eq!(writes.fault(), None, "{fine:?}");
        }
        let counted = |outcome| writes.ended.get_or_create(&Ended { outcome }).get();
        assert_eq!((counted("full"), counted("conflict")), (3, 1));
    }
}
