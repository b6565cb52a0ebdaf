//! The store on an etcd 3.6, which every directory replica follows by watch.

mod alarms;
mod convert;
mod endpoints;
mod lease;
mod load;
mod options;
mod proto;
mod status;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use futures::future::FutureExt;
use futures::stream::BoxStream;
use tokio::sync::watch as channel;

use self::convert::{Prefix, revision};
use self::endpoints::{Endpoints, with_leader};
pub use self::options::Options;
use self::proto::TxnResponse;
use self::proto::kv_client::KvClient;
use self::proto::response_op::Response;
use self::watch::Watcher;
use super::{
    Alarm, Answer, Changes, Entry, Error, Key, LeaseId, Load, Outcome, Revision, Store, Txn,
};

/// The longest reply that is read: a page of a load with values much longer than ours are.
const MAX_MESSAGE: usize = 256 * 1024 * 1024;

/// A store in etcd.
#[derive(Debug)]
pub struct Etcd {
    endpoints: Arc<Endpoints>,
    prefix: Prefix,
    /// The newest revision that `head` has answered.
    wanted: channel::Sender<Revision>,
}

impl Etcd {
    /// Prepares a store; connects when it is first used.
    pub fn new(options: Options) -> Result<Self, Error> {
        let prefix = Prefix(options.prefix.clone());
        Ok(Self {
            endpoints: Endpoints::new(options)?,
            prefix,
            wanted: channel::Sender::new(Revision(0)),
        })
    }

    async fn read_head(&self) -> Result<Revision, Error> {
        let head = load::head(&self.endpoints, &self.prefix).await?.revision;
        self.wanted.send_if_modified(|wanted| {
            let newer = head > *wanted;
            *wanted = head.max(*wanted);
            newer
        });
        Ok(head)
    }

    async fn read_keys(&self, keys: Vec<Key>) -> Result<Vec<Option<Entry>>, Error> {
        let request = self.prefix.get(&keys);
        let call = |channel| {
            let request = with_leader(request.clone());
            async move {
                let mut client = KvClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
                client.txn(request).await
            }
        };
        let limit = self.endpoints.options().attempt_timeout;
        let reply = self.endpoints.read(limit, call).await?;
        let entries = self.found(reply)?;
        if entries.len() == keys.len() {
            return Ok(entries);
        }
        Err(Error::Failed("etcd answered other keys".to_owned()))
    }

    fn found(&self, reply: TxnResponse) -> Result<Vec<Option<Entry>>, Error> {
        let mut entries = Vec::new();
        for part in reply.responses {
            let Some(Response::ResponseRange(range)) = part.response else {
                return Err(Error::Failed("etcd answered another request".to_owned()));
            };
            let pair = range.kvs.into_iter().next();
            entries.push(pair.map(|pair| self.prefix.entry(pair)).transpose()?);
        }
        Ok(entries)
    }

    async fn write(&self, txn: Txn) -> Result<Outcome, Error> {
        txn.check()?;
        let request = self.prefix.txn(txn);
        let call = |channel| {
            let request = with_leader(request.clone());
            async move { KvClient::new(channel).txn(request).await }
        };
        let reply = self.endpoints.write(call).await?;
        let header = reply.header.unwrap_or_default();
        Ok(match reply.succeeded {
            true => Outcome::Committed(revision(header.revision)),
            false => Outcome::Conflict,
        })
    }
}

impl Store for Etcd {
    fn kind(&self) -> &'static str {
        "etcd"
    }

    fn load(&self) -> Answer<'_, Load> {
        async {
            let revision = self.read_head().await?;
            let pages = load::pages(self.endpoints.clone(), self.prefix.clone(), revision);
            Ok(Load { revision, pages })
        }
        .boxed()
    }

    fn get(&self, keys: Vec<Key>) -> Answer<'_, Vec<Option<Entry>>> {
        self.read_keys(keys).boxed()
    }

    fn watch(&self, after: Revision) -> BoxStream<'static, Result<Changes, Error>> {
        let watcher = Watcher {
            endpoints: self.endpoints.clone(),
            prefix: self.prefix.clone(),
            wanted: self.wanted.subscribe(),
            reached: after,
        };
        watcher.start()
    }

    fn head(&self) -> Answer<'_, Revision> {
        self.read_head().boxed()
    }

    fn commit(&self, txn: Txn) -> Answer<'_, Outcome> {
        self.write(txn).boxed()
    }

    fn grant(&self, ttl: Duration) -> Answer<'_, LeaseId> {
        lease::grant(&self.endpoints, ttl).boxed()
    }

    fn keep_alive(&self, lease: LeaseId) -> Answer<'_, Duration> {
        lease::keep_alive(&self.endpoints, &self.prefix, lease).boxed()
    }

    fn revoke(&self, lease: LeaseId) -> Answer<'_, ()> {
        lease::revoke(&self.endpoints, lease).boxed()
    }

    fn alarms(&self) -> Answer<'_, Vec<Alarm>> {
        alarms::alarms(&self.endpoints).boxed()
    }
}
