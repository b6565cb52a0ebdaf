//! What shards say and learn: leases, watches, confirmations.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use kit::lifecycle::Shutdown;
use kit::rpc::Caller;
use kit::services::registry_server::Registry as _;
use palomar_directory::map::{Shared, follow};
use palomar_directory::model::Key;
use palomar_directory::model::records::{
    AccountRecord, AddressRecord, CredentialRecord, ShardRecord, ShardStateRecord, address_record,
};
use palomar_directory::registry::{Registry, RegistryConfig};
use palomar_directory::store::embedded::{Embedded, Options};
use palomar_directory::store::{Freshness, SharedStore, Txn};
use prost::Message;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tonic::{Code, Request, Status};
use wire::identity::{Identity, Tier};
use wire::ids::{AccountId, ClusterId};
use wire::rpc::acquire_lease_reply::Result as Lease;
use wire::rpc::confirmation::What;
use wire::rpc::renew_lease_reply::Result as Renewed;
use wire::rpc::{
    AccountState, AcquireLeaseRequest, ConfirmRequest, Confirmation, QuotaState, RenewLeaseRequest,
    ShardLoad, ShardState, WatchReply, WatchRequest,
};

use crate::etcd::shared;
use crate::store_suite::{PATIENCE, committed, share, value};

const CLUSTER: ClusterId = ClusterId::from_bytes([9; 16]);

/// A registry, and the map that follows its store.
struct World {
    registry: Registry,
    store: SharedStore,
    following: JoinHandle<()>,
    _folder: Option<TempDir>,
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
        let shared = Arc::new(Shared::default());
        let following = tokio::spawn(follow(Arc::clone(&store), Arc::clone(&shared)));
        let config = RegistryConfig {
            ttl: Duration::from_secs(1),
            load_interval: Duration::ZERO,
            proof: PATIENCE,
        };
        let registry = Registry {
            store: Arc::clone(&store),
            freshness: Arc::new(Freshness::new(Arc::clone(&store), shared.reached())),
            shared,
            cluster: CLUSTER,
            config,
            shutdown: Shutdown::new(Duration::ZERO),
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
            changed_at_ms: 0,
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

    async fn acquire(&self, shard: &str, volume: u64, boot: &str) -> Lease {
        let request = AcquireLeaseRequest {
            boot_id: boot.to_owned(),
            volume_incarnation: volume,
            cluster_id: CLUSTER.to_string(),
            rpc_endpoint: "127.0.0.1:1".to_owned(),
            pop3_endpoint: "127.0.0.1:2".to_owned(),
            volume_locked: true,
        };
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
        let request = from("shard-1", WatchRequest { incarnation });
        Ok(self.registry.watch(request).await?.into_inner())
    }

    async fn confirm(&self, incarnation: u64, account: AccountId, epoch: u64, what: What) {
        let confirmation = Confirmation {
            account: account.to_field(),
            epoch,
            what: what.into(),
        };
        let request = ConfirmRequest {
            incarnation,
            confirmations: vec![confirmation],
        };
        self.registry
            .confirm(from("shard-1", request))
            .await
            .unwrap();
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
        ..RenewLeaseRequest::default()
    }
}

#[tokio::test]
async fn a_crashed_shard_is_back_without_waiting_for_its_lease() {
    let world = World::embedded().await;
    assert_eq!(world.granted("shard-1", 0, "boot-a").await, 1);
    assert_eq!(world.granted("shard-1", 1, "boot-a").await, 2);
    assert_eq!(world.renew(renewal(1)).await, Renewed::SupersededBy(2));
    assert!(matches!(world.renew(renewal(2)).await, Renewed::Renewed(_)));
    let record: ShardRecord = world
        .read(Key::Shard("shard-1".parse().unwrap()))
        .await
        .unwrap();
    assert_eq!(
        (record.incarnation, &record.rpc_endpoint[..]),
        (2, "127.0.0.1:1")
    );
    // Another shard's lease is another matter.
    assert_eq!(world.granted("shard-2", 0, "boot-b").await, 1);
}

async fn another_machine_waits(world: World) {
    assert_eq!(world.granted("shard-1", 6, "boot-a").await, 7);
    let mut waited = 0;
    let incarnation = loop {
        match world.acquire("shard-1", 6, "boot-b").await {
            Lease::Granted(granted) => break granted.incarnation,
            Lease::Held(held) => {
                assert_eq!((held.incarnation, &held.boot_id[..]), (7, "boot-a"));
                waited += 1;
                tokio::time::sleep(Duration::from_millis(held.retry_after_ms)).await;
            }
            Lease::Refused(reason) => panic!("{reason}"),
        }
    };
    assert!(waited > 0);
    assert_eq!(incarnation, 8);
    assert_eq!(world.renew(renewal(7)).await, Renewed::SupersededBy(8));
}

#[tokio::test]
async fn another_machine_waits_for_the_lease() {
    another_machine_waits(World::embedded().await).await;
}

#[tokio::test]
async fn another_machine_waits_for_the_lease_on_etcd() {
    let store = share(shared().store("/palomar/registry/").await);
    another_machine_waits(World::over(store, None).await).await;
}

#[tokio::test]
async fn a_lease_that_ran_out_is_granted_again_when_nobody_took_over() {
    let world = World::embedded().await;
    assert_eq!(world.granted("shard-1", 0, "boot-a").await, 1);
    let lease = Key::Lease("shard-1".parse().unwrap()).to_string();
    while value(&world.store, &lease).await.is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let Renewed::Renewed(granted) = world.renew(renewal(1)).await else {
        panic!("superseded");
    };
    assert_eq!((granted.incarnation, granted.ttl_ms), (1, 1000));
    assert!(value(&world.store, &lease).await.is_some());
    assert!(matches!(
        world.acquire("shard-1", 1, "boot-b").await,
        Lease::Held(_)
    ));
}

#[tokio::test]
async fn what_never_gets_a_lease_is_told_why() {
    let world = World::embedded().await;
    world.set_state("shard-2", ShardState::Retired).await;
    for (shard, why) in [("shard-2", "retired"), ("shard-9", "AddShard")] {
        match world.acquire(shard, 0, "boot-a").await {
            Lease::Refused(reason) => assert!(reason.contains(why), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    let request = from_tier(Tier::Mx, "shard-1", AcquireLeaseRequest::default());
    let status = world.registry.acquire_lease(request).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    // An incarnation that the directory never gave out: its store is older than the shard.
    let unknown = world
        .registry
        .renew_lease(from("shard-1", renewal(3)))
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn a_watch_tells_all_accounts_in_pages_and_then_each_change() {
    let world = World::embedded().await;
    let incarnation = world.granted("shard-1", 0, "boot-a").await;
    let ids: Vec<_> = (0..2100).map(|_| AccountId::random()).collect();
    for batch in ids.chunks(100) {
        let record = account("shard-1", AccountState::Active, 1).encode_to_vec();
        let txn = batch.iter().fold(Txn::new(), |txn, id| {
            txn.put(Key::Account(*id).to_string(), record.clone())
        });
        committed(&world.store, txn).await;
    }
    let elsewhere = AccountId::random();
    world
        .put(
            &Key::Account(elsewhere),
            &account("shard-2", AccountState::Active, 1),
        )
        .await;
    let mut watch = world.watch(incarnation).await.unwrap();
    let mut seen = Vec::new();
    for (entries, complete) in [(1000, false), (1000, false), (100, true)] {
        let page = next(&mut watch).await;
        assert_eq!(
            (page.entries.len(), page.snapshot_complete),
            (entries, complete)
        );
        seen.extend(
            page.entries
                .into_iter()
                .map(|entry| entry.route.unwrap().account),
        );
    }
    let mut expected: Vec<_> = ids.iter().map(|id| id.to_field()).collect();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    // Not this shard's: not told. Then one comes, one goes, one is gone for good.
    world
        .put(
            &Key::Account(elsewhere),
            &account("shard-2", AccountState::Removed, 2),
        )
        .await;
    world
        .put(
            &Key::Account(ids[0]),
            &account("shard-2", AccountState::Active, 2),
        )
        .await;
    let left = next(&mut watch).await.entries.remove(0);
    let route = left.route.unwrap();
    assert_eq!((&route.shard[..], route.epoch), ("shard-2", 2));
    assert_eq!(route.account, ids[0].to_field());
    world
        .put(
            &Key::Account(elsewhere),
            &account("shard-1", AccountState::Active, 3),
        )
        .await;
    let came = next(&mut watch).await.entries.remove(0).route.unwrap();
    assert_eq!((&came.shard[..], came.epoch), ("shard-1", 3));
    world.registry.shutdown.trigger();
    assert!(
        tokio::time::timeout(PATIENCE, watch.next())
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_process_that_was_taken_over_from_neither_watches_nor_confirms() {
    let world = World::embedded().await;
    let old = world.granted("shard-1", 0, "boot-a").await;
    let id = AccountId::random();
    world
        .put(
            &Key::Account(id),
            &account("shard-1", AccountState::Creating, 1),
        )
        .await;
    let mut watch = world.watch(old).await.unwrap();
    next(&mut watch).await;
    world.granted("shard-1", old, "boot-a").await;
    let refused = world.watch(old).await.err().unwrap();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    world
        .put(
            &Key::Account(id),
            &account("shard-1", AccountState::Creating, 2),
        )
        .await;
    let end = tokio::time::timeout(PATIENCE, watch.next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(end.unwrap_err().code(), Code::FailedPrecondition);
    let request = ConfirmRequest {
        incarnation: old,
        confirmations: vec![Confirmation {
            account: id.to_field(),
            epoch: 2,
            what: What::Created.into(),
        }],
    };
    let refused = world
        .registry
        .confirm(from("shard-1", request))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn what_is_confirmed_becomes_so() {
    let world = World::embedded().await;
    let incarnation = world.granted("shard-1", 0, "boot-a").await;
    let id = AccountId::random();
    let key = || Key::Account(id);
    let state = async || {
        let record: Option<AccountRecord> = world.read(key()).await;
        record.map(|record| (record.state(), record.pending))
    };
    world
        .put(&key(), &account("shard-1", AccountState::Creating, 1))
        .await;
    world.confirm(incarnation, id, 2, What::Created).await;
    assert_eq!(state().await, Some((AccountState::Creating, true)));
    world.confirm(incarnation, id, 1, What::Created).await;
    assert_eq!(state().await, Some((AccountState::Active, false)));
    world
        .put(&key(), &account("shard-1", AccountState::Removed, 2))
        .await;
    world.confirm(incarnation, id, 2, What::Suspended).await;
    assert_eq!(state().await, Some((AccountState::Removed, false)));
    world
        .put(&key(), &account("shard-1", AccountState::Purging, 3))
        .await;
    world
        .put(&Key::Credential(id), &CredentialRecord::default())
        .await;
    // The address leads to another account by now.
    let newer = AddressRecord {
        created_at_ms: 0,
        leads_to: Some(address_record::LeadsTo::Account(
            AccountId::random().to_field(),
        )),
    };
    let address = || Key::Address("ana@example.org".to_owned());
    world.put(&address(), &newer).await;
    world.confirm(incarnation, id, 3, What::Dropped).await;
    assert_eq!(state().await, None);
    assert!(
        world
            .read::<CredentialRecord>(Key::Credential(id))
            .await
            .is_none()
    );
    assert!(world.read::<AddressRecord>(address()).await.is_some());
}

#[tokio::test]
async fn a_dropped_account_takes_its_own_address_along() {
    let world = World::embedded().await;
    let incarnation = world.granted("shard-1", 0, "boot-a").await;
    let id = AccountId::random();
    world
        .put(
            &Key::Account(id),
            &account("shard-1", AccountState::Purging, 1),
        )
        .await;
    let address = Key::Address("ana@example.org".to_owned());
    let own = AddressRecord {
        created_at_ms: 0,
        leads_to: Some(address_record::LeadsTo::Account(id.to_field())),
    };
    world.put(&address, &own).await;
    world.confirm(incarnation, id, 1, What::Dropped).await;
    assert!(
        world
            .read::<AccountRecord>(Key::Account(id))
            .await
            .is_none()
    );
    assert!(world.read::<AddressRecord>(address).await.is_none());
}

#[tokio::test]
async fn a_renewal_tells_load_and_the_quota_of_own_accounts() {
    let world = World::embedded().await;
    let incarnation = world.granted("shard-1", 0, "boot-a").await;
    let (own, other) = (AccountId::random(), AccountId::random());
    world
        .put(
            &Key::Account(own),
            &account("shard-1", AccountState::Active, 1),
        )
        .await;
    world
        .put(
            &Key::Account(other),
            &account("shard-2", AccountState::Active, 1),
        )
        .await;
    let tell = |over| RenewLeaseRequest {
        incarnation,
        load: Some(ShardLoad {
            bytes: 1234,
            ..ShardLoad::default()
        }),
        quota_changes: [own, other, AccountId::random()]
            .map(|id| QuotaState {
                account: id.to_field(),
                over,
            })
            .to_vec(),
    };
    assert!(matches!(world.renew(tell(true)).await, Renewed::Renewed(_)));
    let record: ShardRecord = world
        .read(Key::Shard("shard-1".parse().unwrap()))
        .await
        .unwrap();
    assert_eq!(record.load.unwrap().bytes, 1234);
    let quota = async |id| {
        value(&world.store, &Key::Quota(id).to_string())
            .await
            .is_some()
    };
    assert!(quota(own).await);
    assert!(!quota(other).await);
    assert!(matches!(
        world.renew(tell(false)).await,
        Renewed::Renewed(_)
    ));
    assert!(!quota(own).await);
}
