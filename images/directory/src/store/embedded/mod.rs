//! The store inside one process, for one machine: our log, and an index of it in memory.
//!
//! Every committed transaction is one record of the log. The index has 20 octets a key: which
//! record holds its living entry; values stay on the disk, where the page cache has them. Old
//! segments go after what is alive in them was written again ([`carry`]), so there are no snapshots
//! and no second format. A replay of the log rebuilds the index.
//!
//! Two threads: one decides (and sees transactions that are not durable yet), one makes visible
//! what the log has synced, in order.

mod apply;
mod carry;
mod engine;
mod history;
mod index;
mod journal;
mod leases;
mod open;
mod options;
mod proto;
mod read;
mod shared;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::future::FutureExt;
use futures::stream::BoxStream;
use segments::{Disk, Log, RealDisk};
use tokio::sync::oneshot;

use self::engine::{Reply, Request};
pub use self::journal::fuzz;
use self::open::Opened;
pub use self::options::Options;
use self::shared::Shared;
use super::{
    Alarm, Answer, Changes, Entry, Error, Key, LeaseId, Load, MAX_OPERATIONS, Outcome, Revision,
    Store, Txn,
};

/// A store in a folder.
pub struct Embedded {
    log: Log,
    shared: Arc<Shared>,
    requests: Option<SyncSender<Request>>,
    threads: Vec<JoinHandle<()>>,
}

impl Embedded {
    /// Opens the store in `folder`, or makes one. Only one process at a time has it; leases of the
    /// last one are void.
    pub async fn open(folder: &Path, options: Options) -> Result<Self, Error> {
        let folder = folder.to_owned();
        let open = move || {
            let disk = RealDisk::open(&folder)
                .map_err(|error| Error::Failed(format!("{}: {error}", folder.display())))?;
            Self::open_on(Arc::new(disk), &options)
        };
        kit::task::blocking(open).await?
    }

    /// Opens the store on a disk. Blocks; not for asynchronous tasks.
    pub fn open_on(disk: Arc<dyn Disk>, options: &Options) -> Result<Self, Error> {
        let Opened { engine, submitted } = open::open(disk, options)?;
        let (requests, asked) = sync_channel(options.queue);
        let log = engine.log.clone();
        let shared = Arc::clone(&engine.shared);
        let applied = Arc::clone(&shared);
        let threads = vec![
            spawn("store", move || engine.run(&asked))?,
            spawn("store-apply", move || apply::run(&applied, &submitted))?,
        ];
        Ok(Self {
            log,
            shared,
            requests: Some(requests),
            threads,
        })
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(closed)?;
        requests
            .try_send(request(reply))
            .map_err(|error| match error {
                TrySendError::Full(_) => Error::Unavailable("too many calls wait".to_owned()),
                TrySendError::Disconnected(_) => closed(),
            })?;
        // A request that is dropped unanswered was under way when its thread ended.
        let lost = |_| Error::Unknown("the store has stopped".to_owned());
        answer.await.map_err(lost)?
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.requests = None;
        for thread in self.threads.drain(..) {
            // A panic there was already reported by its thread.
            let _ = thread.join();
        }
        self.shared.fail("it was closed");
    }
}

impl Store for Embedded {
    fn kind(&self) -> &'static str {
        "embedded"
    }

    fn load(&self) -> Answer<'_, Load> {
        let (log, shared) = (self.log.clone(), Arc::clone(&self.shared));
        async {
            shared.check()?;
            Ok(kit::task::blocking(|| read::load(log, shared)).await?)
        }
        .boxed()
    }

    fn get(&self, keys: Vec<Key>) -> Answer<'_, Vec<Option<Entry>>> {
        let (log, shared) = (self.log.clone(), Arc::clone(&self.shared));
        async move {
            if keys.len() > MAX_OPERATIONS {
                return Err(Error::Malformed("reads too many keys"));
            }
            kit::task::blocking(move || read::get(&log, &shared, &keys)).await?
        }
        .boxed()
    }

    fn watch(&self, after: Revision) -> BoxStream<'static, Result<Changes, Error>> {
        read::watch(Arc::clone(&self.shared), after)
    }

    fn head(&self) -> Answer<'_, Revision> {
        async {
            self.shared.check()?;
            Ok(self.shared.head())
        }
        .boxed()
    }

    fn commit(&self, txn: Txn) -> Answer<'_, Outcome> {
        async {
            txn.check()?;
            self.ask(|reply| Request::Commit(txn, reply)).await
        }
        .boxed()
    }

    fn grant(&self, ttl: Duration) -> Answer<'_, LeaseId> {
        self.ask(move |reply| Request::Grant(ttl, reply)).boxed()
    }

    fn keep_alive(&self, lease: LeaseId) -> Answer<'_, Duration> {
        self.ask(move |reply| Request::KeepAlive(lease, reply))
            .boxed()
    }

    fn revoke(&self, lease: LeaseId) -> Answer<'_, ()> {
        self.ask(move |reply| Request::Revoke(lease, reply)).boxed()
    }

    /// It has no quota of its own and one copy: what fails, each call says.
    fn alarms(&self) -> Answer<'_, Vec<Alarm>> {
        async {
            self.shared.check()?;
            Ok(Vec::new())
        }
        .boxed()
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    let failed = |error| Error::Failed(format!("the thread {name} does not start: {error}"));
    builder.spawn(run).map_err(failed)
}

fn closed() -> Error {
    Error::Failed("it was closed".to_owned())
}
