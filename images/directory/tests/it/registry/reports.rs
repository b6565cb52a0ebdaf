//! What a shard reports of itself is recorded, and no lease depends on it.

use std::time::{Duration, Instant};

use buzonera_directory::model::Key;
use buzonera_directory::model::records::{LoadRecord, ShardRecord};
use buzonera_directory::store::etcd::Options;
use buzonera_directory::store::{Error, SharedStore, Txn};
use kit::services::registry_server::Registry as _;
use tonic::Code;
use wire::ids::AccountId;
use wire::rpc::renew_lease_reply::Result as Renewed;
use wire::rpc::{AccountState, QuotaState, ReportRequest, ShardLoad};

use super::{World, account, from, renewal};
use crate::etcd::Server;
use crate::store_suite::{share, value};

#[tokio::test]
async fn load_and_the_quota_of_own_accounts_are_recorded() {
    let world = World::embedded().await;
    let incarnation = world.granted("shard-1", 0, "boot-a").await;
    let (own, other) = (AccountId::random(), AccountId::random());
    for (id, shard) in [(own, "shard-1"), (other, "shard-2")] {
        let record = account(shard, AccountState::Active, 1);
        world.put(&Key::Account(id), &record).await;
    }
    let before = world.shard_record().await;
    let told = |over| report(incarnation, 1234, &[own, other, AccountId::random()], over);
    world.report(told(true)).await.unwrap();
    let key = Key::Load("shard-1".parse().unwrap());
    let record: LoadRecord = world.read(key).await.unwrap();
    assert_eq!(record.load.unwrap().bytes, 1234);
    // What moves and confirmations depend on did not change.
    assert_eq!(world.shard_record().await, before);
    let quota = async |id| {
        value(&world.store, &Key::Quota(id).to_string())
            .await
            .is_some()
    };
    assert!(quota(own).await);
    assert!(!quota(other).await);
    world.report(told(false)).await.unwrap();
    assert!(!quota(own).await);
}

#[tokio::test]
async fn a_process_that_was_taken_over_from_reports_nothing() {
    let world = World::embedded().await;
    let old = world.granted("shard-1", 0, "boot-a").await;
    world.granted("shard-1", old, "boot-a").await;
    let refused = world.report(report(old, 1, &[], false)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let key = Key::Load("shard-1".parse().unwrap());
    assert!(world.read::<LoadRecord>(key).await.is_none());
}

/// More than a shard sends in five minutes.
const RENEWALS: usize = 50;

#[tokio::test]
async fn an_etcd_at_its_quota_ends_no_lease() {
    let server = Server::start_with(&["--quota-backend-bytes", "4194304"]);
    let store = share(server.store("/buzonera/full/").await);
    let world = World::over(store.clone(), None).await;
    let incarnation = world.granted("shard-1", 0, "boot-a").await;
    fill(&store).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..RENEWALS {
        let refused = world.report(report(incarnation, 1, &[], false)).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
        assert!(refused.message().contains("takes no writes"), "{refused}");
        let began = Instant::now();
        let renewed = world.renew(renewal(incarnation)).await;
        assert!(matches!(renewed, Renewed::Renewed(_)), "{renewed:?}");
        slowest = slowest.max(began.elapsed());
    }
    // Far below what a shard waits for, three seconds.
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let lease = Key::Lease("shard-1".parse().unwrap()).to_string();
    assert!(value(&store, &lease).await.is_some());
}

/// As shards have them, how long they wait for an answer, and before they ask again.
const TTL: Duration = Duration::from_secs(20);
const QUESTION: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(500);

/// Far more often than shards report.
const REPORT_PAUSE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn an_etcd_with_a_slow_disk_ends_no_lease() {
    let server = Server::start_synced();
    let options = Options::new(vec![server.endpoint()], "/buzonera/slow/");
    let store = share(server.store_with(options).await);
    let world = World::with_leases_of(TTL, store, None).await;
    let incarnation = world.granted("shard-1", 0, "boot-a").await;
    let _slow = server.slow_disk(Duration::from_secs(3));
    tokio::select! {
        () = keep_reporting(&world, incarnation) => {}
        () = keep_renewing(&world, incarnation) => {}
    }
}

/// Whether they are recorded is another matter.
async fn keep_reporting(world: &World, incarnation: u64) {
    for bytes in 0.. {
        let _ = world.report(report(incarnation, bytes, &[], false)).await;
        tokio::time::sleep(REPORT_PAUSE).await;
    }
}

/// For two leases' time; none may run out.
async fn keep_renewing(world: &World, incarnation: u64) {
    let start = Instant::now();
    let mut held_until = start + TTL;
    while start.elapsed() < 2 * TTL {
        let sent = Instant::now();
        let request = from("shard-1", renewal(incarnation));
        let asked = tokio::time::timeout(QUESTION, world.registry.renew_lease(request)).await;
        let pause = match asked {
            Ok(Ok(_)) => {
                held_until = sent + TTL;
                TTL / 3
            }
            Ok(Err(_)) | Err(_) => PAUSE,
        };
        assert!(Instant::now() < held_until, "the lease ran out");
        tokio::time::sleep(pause).await;
    }
}

/// Writes until etcd takes no more.
async fn fill(store: &SharedStore) {
    loop {
        let txn = Txn::new().put("requests/padding", vec![0; 500_000]);
        match store.commit(txn).await {
            Ok(_) => {}
            Err(Error::Full(_)) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn report(incarnation: u64, bytes: u64, accounts: &[AccountId], over: bool) -> ReportRequest {
    let state = |id: &AccountId| QuotaState {
        account: id.to_field(),
        over,
    };
    ReportRequest {
        incarnation,
        load: Some(ShardLoad {
            bytes,
            ..ShardLoad::default()
        }),
        quota_changes: accounts.iter().map(state).collect(),
    }
}

impl World {
    async fn report(&self, request: ReportRequest) -> Result<(), tonic::Status> {
        let reported = self.registry.report(from("shard-1", request)).await;
        reported.map(drop)
    }

    async fn shard_record(&self) -> ShardRecord {
        let key = Key::Shard("shard-1".parse().unwrap());
        self.read(key).await.unwrap()
    }
}
