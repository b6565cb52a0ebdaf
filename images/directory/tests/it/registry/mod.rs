//! What shards say and learn.

mod confirmations;
mod debts;
mod leases;
mod locate;
mod openings;
mod reports;
mod serving;
mod volumes;
mod watches;

use std::sync::Arc;
use std::time::Duration;

use buzonera_directory::map::{Shared, follow};
use buzonera_directory::model::Key;
use buzonera_directory::model::records::{AccountRecord, ShardStateRecord};
use buzonera_directory::registry::{Registry, RegistryConfig};
use buzonera_directory::store::embedded::{Embedded, Options};
use buzonera_directory::store::{Freshness, SharedStore, Txn};
use futures::StreamExt;
use futures::stream::BoxStream;
use kit::lifecycle::{DRAIN, Shutdown};
use kit::rpc::Caller;
use kit::services::registry_server::Registry as _;
use prost::Message;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tonic::{Request, Status};
use wire::identity::{Identity, Tier};
use wire::ids::{AccountId, ClusterId};
use wire::rpc::acquire_lease_reply::Result as Lease;
use wire::rpc::confirmation::What;
use wire::rpc::renew_lease_reply::Result as Renewed;
use wire::rpc::{
    AccountState, AcquireLeaseRequest, ConfirmRequest, Confirmation, LockFile, RenewLeaseRequest,
    ShardState, Volume, WatchReply, WatchRequest,
};

use crate::store_suite::{PATIENCE, committed, share, value};

const CLUSTER: ClusterId = ClusterId::from_bytes([9; 16]);

/// A registry, and the map that follows its store.
struct World {
    registry: Registry,
    store: SharedStore,
    following: JoinHandle<()>,
    _folder: Option<TempDir>,
}

/// What a shard asks that comes with its own volume, last opened by `opened`.
fn claim(opened: u64, boot: &str) -> AcquireLeaseRequest {
    AcquireLeaseRequest {
        boot_id: boot.to_owned(),
        volume: Some(Volume {
            id: vec![1; 16].into(),
            opened,
            segment: 1,
            offset: 500,
            sum: 77,
        }),
        cluster_id: CLUSTER.to_string(),
        rpc_endpoint: "127.0.0.1:1".to_owned(),
        pop3_endpoint: "127.0.0.1:2".to_owned(),
        lock: Some(LockFile {
            device: 1,
            inode: 1,
        }),
        copy_format: 1,
        lost: false,
        release: "1.0.0".to_owned(),
        node: "node-1".to_owned(),
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl World {
    async fn embedded() -> Self {
        let folder = TempDir::new().unwrap();
        let store = Embedded::open(folder.path(), Options::default()).await;
        Self::over(share(store.unwrap()), Some(folder)).await
    }

    /// With the shards shard-1 and shard-2.
    async fn over(store: SharedStore, folder: Option<TempDir>) -> Self {
        Self::with_leases_of(Duration::from_secs(1), store, folder).await
    }

    async fn with_leases_of(ttl: Duration, store: SharedStore, folder: Option<TempDir>) -> Self {
        Self::with_times(ttl, PATIENCE, store, folder).await
    }

    async fn with_times(
        ttl: Duration,
        watch_beat: Duration,
        store: SharedStore,
        folder: Option<TempDir>,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let following = tokio::spawn(follow(Arc::clone(&store), Arc::clone(&shared), |_| true));
        let config = RegistryConfig {
            ttl,
            load_interval: Duration::ZERO,
            opening_interval: Duration::ZERO,
            proof: PATIENCE,
            watch_beat,
        };
        let registry = Registry {
            store: Arc::clone(&store),
            freshness: Arc::new(Freshness::new(Arc::clone(&store), shared.reached())),
            shared,
            cluster: CLUSTER,
            config,
            shutdown: Shutdown::new(Duration::ZERO, DRAIN),
        };
        let world = Self {
            registry,
            store,
            following,
            _folder: folder,
        };
        world.set_state("shard-1", ShardState::Active).await;
        world.set_state("shard-2", ShardState::Active).await;
        world
    }

    async fn set_state(&self, shard: &str, state: ShardState) {
        let record = ShardStateRecord {
            state: state.into(),
            ..ShardStateRecord::default()
        };
        let key = Key::ShardState(shard.parse().unwrap());
        self.put(&key, &record).await;
    }

    async fn put(&self, key: &Key, record: &impl Message) {
        let txn = Txn::new().put(key.to_string(), record.encode_to_vec());
        committed(&self.store, txn).await;
    }

    async fn read<T: Message + Default>(&self, key: Key) -> Option<T> {
        let value = value(&self.store, &key.to_string()).await;
        value.map(|value| T::decode(value).unwrap())
    }

    /// The shard's own volume, last opened by `opened`.
    async fn acquire(&self, shard: &str, opened: u64, boot: &str) -> Lease {
        self.ask(shard, claim(opened, boot)).await
    }

    async fn ask(&self, shard: &str, request: AcquireLeaseRequest) -> Lease {
        let reply = self.registry.acquire_lease(from(shard, request)).await;
        reply.unwrap().into_inner().result.unwrap()
    }

    async fn granted(&self, shard: &str, volume: u64, boot: &str) -> u64 {
        match self.acquire(shard, volume, boot).await {
            Lease::Granted(granted) => granted.incarnation,
            other => panic!("{other:?}"),
        }
    }

    async fn renew(&self, request: RenewLeaseRequest) -> Renewed {
        let reply = self.registry.renew_lease(from("shard-1", request)).await;
        reply.unwrap().into_inner().result.unwrap()
    }

    async fn watch(&self, incarnation: u64) -> Result<Replies, Status> {
        self.watch_after(incarnation, 0).await
    }

    async fn watch_after(&self, incarnation: u64, after: u64) -> Result<Replies, Status> {
        let request = from("shard-1", WatchRequest { incarnation, after });
        Ok(self.registry.watch(request).await?.into_inner())
    }

    async fn confirm(&self, incarnation: u64, account: AccountId, epoch: u64, what: What) {
        self.confirms("shard-1", incarnation, account, epoch, what, &[])
            .await;
    }

    /// A shard confirms, and names who keeps something of the account.
    async fn confirms(
        &self,
        shard: &str,
        incarnation: u64,
        account: AccountId,
        epoch: u64,
        what: What,
        keepers: &[&str],
    ) {
        let confirmation = Confirmation {
            account: account.to_field(),
            epoch,
            what: what.into(),
            keepers: keepers.iter().map(|keeper| (*keeper).to_owned()).collect(),
        };
        let request = ConfirmRequest {
            incarnation,
            confirmations: vec![confirmation],
            ..ConfirmRequest::default()
        };
        self.registry.confirm(from(shard, request)).await.unwrap();
    }
}

type Replies = BoxStream<'static, Result<WatchReply, Status>>;

async fn next(replies: &mut Replies) -> WatchReply {
    let reply = tokio::time::timeout(PATIENCE, replies.next()).await;
    reply.expect("the watch is silent").unwrap().unwrap()
}

fn from<T>(shard: &str, message: T) -> Request<T> {
    from_tier(Tier::Storage, shard, message)
}

fn from_tier<T>(tier: Tier, instance: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller {
        identity: Arc::new(Identity::new(CLUSTER, tier, instance).unwrap()),
        address: "127.0.0.1:9".parse().unwrap(),
    });
    request
}

fn account(shard: &str, state: AccountState, epoch: u64) -> AccountRecord {
    AccountRecord {
        address: "ana@example.org".to_owned(),
        shard: shard.to_owned(),
        epoch,
        state: state.into(),
        pending: true,
        ..AccountRecord::default()
    }
}

fn renewal(incarnation: u64) -> RenewLeaseRequest {
    RenewLeaseRequest {
        incarnation,
        serving: false,
    }
}
