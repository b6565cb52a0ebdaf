//! What the directory keeps: a small key-value store with revisions, behind one trait.
//!
//! Every write is one transaction: conditions on keys, then puts and deletes, all or nothing. A
//! committed transaction gets a revision, and revisions only rise. A reader loads everything at one
//! revision and then watches what was committed after it.

pub mod embedded;
mod error;
pub mod etcd;
mod freshness;
pub mod lagging;
pub mod observed;
mod txn;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

pub use self::error::Error;
pub use self::freshness::{Freshness, Unsure};
pub use self::txn::{Expect, MAX_OPERATIONS, MAX_TXN_BYTES, Outcome, Put, Txn};

/// A key: path-like text, `kind/name`.
pub type Key = String;

/// A store, shared.
pub type SharedStore = Arc<dyn Store>;

/// What a store's methods return; it may borrow the store.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// Number of a committed transaction; only rises. Some stores skip numbers. 0 is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

/// A lease in the store: keys put with it vanish when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseId(pub i64);

/// A key, its value, and the transaction that last put it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// Its value.
    pub value: Bytes,
    /// The transaction that last put it.
    pub revision: Revision,
}

/// Everything that the store holds at one revision.
pub struct Load {
    /// The revision that all pages show.
    pub revision: Revision,
    /// The entries, in no order, each once. After an error there are no more pages.
    pub pages: BoxStream<'static, Result<Vec<Entry>, Error>>,
}

/// One committed transaction, or (without changes) the news that nothing else happened up to
/// `revision`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The watch has delivered everything up to this revision, itself included.
    pub revision: Revision,
    /// What the transaction changed, each key once.
    pub changes: Vec<Change>,
}

/// A key that was put or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Key,
    /// The new value; none: the key is gone, by a delete or because its lease ended.
    pub value: Option<Bytes>,
}

/// What a store says of itself that a person must mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// It is at its quota, and takes no writes.
    Full,
    /// Its members do not hold the same.
    Corrupt,
}

/// A store with revisions, transactions, watches and leases.
///
/// Reads and writes are linearizable: what one call has answered, every later call sees.
pub trait Store: Send + Sync + 'static {
    /// "embedded" or "etcd".
    fn kind(&self) -> &'static str;

    /// Everything at one revision, which is at least that of every commit answered before the call.
    fn load(&self) -> Answer<'_, Load>;

    /// The entries of at most [`MAX_OPERATIONS`] keys at one revision, in the order asked.
    fn get(&self, keys: Vec<Key>) -> Answer<'_, Vec<Option<Entry>>>;

    /// What is committed after `after`, in order, without gaps. Ends with an error:
    /// [`Error::Compacted`] says that the reader has to load again, every other that it can watch
    /// again from where it was. Once [`Store::head`] has answered a revision, open watches of this
    /// store report having reached it, even when nothing changed.
    fn watch(&self, after: Revision) -> BoxStream<'static, Result<Changes, Error>>;

    /// The newest revision, by a read begun after the call.
    fn head(&self) -> Answer<'_, Revision>;

    /// Commits a transaction, durably. [`Error::Unknown`] means that it may have been committed:
    /// the caller reads again. Every other error means that it was not.
    fn commit(&self, txn: Txn) -> Answer<'_, Outcome>;

    /// A new lease that ends unless it is kept alive within `ttl` (whole seconds, at least 1).
    fn grant(&self, ttl: Duration) -> Answer<'_, LeaseId>;

    /// Prolongs a lease by its whole time, which is the answer; [`Error::LeaseGone`] when it ended.
    fn keep_alive(&self, lease: LeaseId) -> Answer<'_, Duration>;

    /// Ends a lease now: its keys are deleted. One that is gone is no error.
    fn revoke(&self, lease: LeaseId) -> Answer<'_, ()>;

    /// What the store itself has raised an alarm about, each once.
    fn alarms(&self) -> Answer<'_, Vec<Alarm>>;
}
