//! Shards at work over real sockets, and a directory whose words the test chooses.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use buzonera_storage::index::Index;
use buzonera_storage::volume::VolumeLock;
use buzonera_storage::{Config, Error, Storage};
use kit::admin::Admin;
use kit::authority::Authority;
use kit::frame::bind;
use kit::lifecycle::{DRAIN, Shutdown};
use kit::listener::{Listener, ListenerConfig};
use kit::rpc::{Channel, ChannelOptions, Replica, channel};
use kit::services::mover_client::MoverClient;
use kit::services::registry_server::{Registry, RegistryServer};
use kit::services::shard_client::ShardClient;
use kit::tls::Credentials;
use parking_lot::Mutex;
use segments::RealDisk;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use wire::identity::{Identity, Tier};
use wire::ids::{AccountId, ClusterId};
use wire::rpc::{
    AccountEntry, AccountState, AcquireLeaseReply, AcquireLeaseRequest, ConfirmReply,
    ConfirmRequest, Confirmation, Debt, GoOn, LeaseGranted, LocateReply, LocateRequest, Opening,
    ReleaseLeaseReply, ReleaseLeaseRequest, RenewLeaseReply, RenewLeaseRequest, ReportReply,
    ReportRequest, Route, TellOpeningReply, TellOpeningRequest, TellVolumeReply, TellVolumeRequest,
    WatchReply, WatchRequest, acquire_lease_reply, renew_lease_reply,
};

use crate::rig::SOON;

pub(crate) const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// What the directory says; the test decides.
pub(crate) struct Script {
    pub(crate) ttl_ms: AtomicU64,
    /// Renewals are refused: a higher incarnation exists.
    pub(crate) superseded: AtomicBool,
    /// So many confirmations more fail.
    pub(crate) unconfirmed: AtomicU64,
    /// Reports are refused: the store takes no writes.
    pub(crate) full: AtomicBool,
    /// Leases and renewals are not answered.
    pub(crate) silent: AtomicBool,
    /// Renewals are answered after so long.
    pub(crate) slow_ms: AtomicU64,
    /// What is told of openings is never answered.
    pub(crate) deaf: AtomicBool,
    /// An administrator said to go on without what a volume lost.
    pub(crate) go_on: AtomicBool,
    incarnations: AtomicU64,
    state: Mutex<State>,
    cluster: ClusterId,
}

#[derive(Default)]
struct State {
    entries: HashMap<Vec<u8>, AccountEntry>,
    /// What shards owe, by their names.
    debts: Vec<(String, Debt)>,
    watchers: Vec<(String, mpsc::Sender<Result<WatchReply, Status>>)>,
    confirmed: Vec<Confirmation>,
    paid: Vec<Debt>,
    renewals: Vec<RenewLeaseRequest>,
    reports: Vec<ReportRequest>,
    /// The revisions that watches went on from.
    watches: Vec<u64>,
    released: Vec<u64>,
    openings: Vec<Opening>,
}

impl Script {
    fn granted(&self, incarnation: u64) -> LeaseGranted {
        LeaseGranted {
            incarnation,
            ttl_ms: self.ttl_ms.load(Ordering::SeqCst),
            cluster_id: self.cluster.to_string(),
        }
    }

    fn answers(&self) -> Result<(), Status> {
        match self.silent.load(Ordering::SeqCst) {
            true => Err(Status::unavailable("silent")),
            false => Ok(()),
        }
    }
}

#[tonic::async_trait]
impl Registry for Script {
    type WatchStream = ReceiverStream<Result<WatchReply, Status>>;

    async fn acquire_lease(
        &self,
        request: Request<AcquireLeaseRequest>,
    ) -> Result<Response<AcquireLeaseReply>, Status> {
        self.answers()?;
        let request = request.into_inner();
        if request.lost {
            let result = match self.go_on.load(Ordering::SeqCst) {
                true => acquire_lease_reply::Result::GoOn(GoOn {}),
                false => acquire_lease_reply::Result::BadVolume("it is short".to_owned()),
            };
            let result = Some(result);
            return Ok(Response::new(AcquireLeaseReply { result }));
        }
        let last = self.incarnations.load(Ordering::SeqCst);
        let next = last.max(request.volume.unwrap_or_default().opened) + 1;
        self.incarnations.store(next, Ordering::SeqCst);
        let result = acquire_lease_reply::Result::Granted(self.granted(next));
        Ok(Response::new(AcquireLeaseReply {
            result: Some(result),
        }))
    }

    async fn tell_opening(
        &self,
        request: Request<TellOpeningRequest>,
    ) -> Result<Response<TellOpeningReply>, Status> {
        if self.deaf.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.state
            .lock()
            .openings
            .extend(request.into_inner().opening);
        Ok(Response::new(TellOpeningReply {}))
    }

    async fn tell_volume(
        &self,
        _request: Request<TellVolumeRequest>,
    ) -> Result<Response<TellVolumeReply>, Status> {
        self.answers()?;
        Ok(Response::new(TellVolumeReply {}))
    }

    async fn renew_lease(
        &self,
        request: Request<RenewLeaseRequest>,
    ) -> Result<Response<RenewLeaseReply>, Status> {
        self.answers()?;
        let request = request.into_inner();
        let incarnation = request.incarnation;
        tokio::time::sleep(Duration::from_millis(self.slow_ms.load(Ordering::SeqCst))).await;
        self.state.lock().renewals.push(request);
        let result = match self.superseded.load(Ordering::SeqCst) {
            true => renew_lease_reply::Result::SupersededBy(incarnation + 1),
            false => renew_lease_reply::Result::Renewed(self.granted(incarnation)),
        };
        Ok(Response::new(RenewLeaseReply {
            result: Some(result),
        }))
    }

    async fn release_lease(
        &self,
        request: Request<ReleaseLeaseRequest>,
    ) -> Result<Response<ReleaseLeaseReply>, Status> {
        let incarnation = request.into_inner().incarnation;
        self.state.lock().released.push(incarnation);
        Ok(Response::new(ReleaseLeaseReply {}))
    }

    async fn report(
        &self,
        request: Request<ReportRequest>,
    ) -> Result<Response<ReportReply>, Status> {
        self.state.lock().reports.push(request.into_inner());
        match self.full.load(Ordering::SeqCst) {
            true => Err(Status::unavailable("the store is full")),
            false => Ok(Response::new(ReportReply {})),
        }
    }

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let shard = kit::rpc::caller(&request)?.instance().to_owned();
        let after = request.get_ref().after;
        let (sender, receiver) = mpsc::channel(1000);
        let mut state = self.state.lock();
        let mine = |entry: &&AccountEntry| entry.route.as_ref().unwrap().shard == shard;
        let entries = state.entries.values().filter(mine).cloned().collect();
        let debts = state.debts.iter().filter(|(debtor, _)| *debtor == shard);
        let debts = debts.map(|(_, debt)| debt.clone()).collect();
        let snapshot = WatchReply {
            entries,
            debts,
            snapshot_complete: true,
            revision: 1,
            resumed: after > 0,
        };
        sender.try_send(Ok(snapshot)).unwrap();
        state.watches.push(after);
        state.watchers.push((shard, sender));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn locate(
        &self,
        request: Request<LocateRequest>,
    ) -> Result<Response<LocateReply>, Status> {
        self.answers()?;
        let account = request.into_inner().account;
        let entry = self.state.lock().entries.get(&account[..]).cloned();
        Ok(Response::new(LocateReply { entry }))
    }

    async fn confirm(
        &self,
        request: Request<ConfirmRequest>,
    ) -> Result<Response<ConfirmReply>, Status> {
        let left = self.unconfirmed.load(Ordering::SeqCst);
        if left > 0 {
            self.unconfirmed.store(left - 1, Ordering::SeqCst);
            return Err(Status::unavailable("told so"));
        }
        let request = request.into_inner();
        let mut state = self.state.lock();
        state.confirmed.extend(request.confirmations);
        state.paid.extend(request.paid);
        Ok(Response::new(ConfirmReply {}))
    }
}

/// A cluster: its CA, its directory, its shards' folders.
pub(crate) struct Cluster {
    folder: TempDir,
    authority: Authority,
    pub(crate) script: Arc<Script>,
    directory: SocketAddr,
    pub(crate) shutdown: Shutdown,
}

/// One shard at work.
pub(crate) struct Running {
    data: PathBuf,
    pub(crate) name: String,
    pub(crate) rpc: SocketAddr,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), Error>>,
}

impl Cluster {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cluster = ClusterId::random();
        let authority = Authority::create(&folder.path().join("ca"), cluster).unwrap();
        let script = Arc::new(Script {
            ttl_ms: AtomicU64::new(20_000),
            superseded: AtomicBool::new(false),
            unconfirmed: AtomicU64::new(0),
            full: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            slow_ms: AtomicU64::new(0),
            deaf: AtomicBool::new(false),
            go_on: AtomicBool::new(false),
            incarnations: AtomicU64::new(0),
            state: Mutex::default(),
            cluster,
        });
        let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
        let listener = Listener::bind(ListenerConfig::new("directory", "", LOOPBACK)).unwrap();
        let made = Self {
            directory: listener.local_addr(),
            folder,
            authority,
            script: script.clone(),
            shutdown: shutdown.clone(),
        };
        let credentials = made.credentials(Tier::Directory, "dir-1");
        let routes = tonic::service::Routes::new(RegistryServer::from_arc(script));
        tokio::spawn(async move {
            kit::rpc::server::serve(listener, &credentials, routes, shutdown)
                .await
                .unwrap();
        });
        made
    }

    pub(crate) fn data(&self, shard: &str) -> PathBuf {
        self.folder.path().join(format!("data-{shard}"))
    }

    pub(crate) fn config(&self, shard: &str) -> Config {
        let replica = Replica {
            instance: "dir-1".to_owned(),
            endpoint: self.directory.to_string(),
        };
        let identity = self.identity(Tier::Storage, shard);
        let mut config = Config::new(
            identity,
            self.data(shard),
            vec![replica],
            LOOPBACK,
            LOOPBACK,
        );
        config.shard.patience = Duration::from_millis(300);
        config.report_every = Duration::from_millis(100);
        config.lease_patience = Duration::from_millis(500);
        config.lock_patience = Duration::from_secs(1);
        config
    }

    pub(crate) async fn start(&self, shard: &str) -> Running {
        self.start_with(self.config(shard)).await
    }

    pub(crate) async fn start_with(&self, config: Config) -> Running {
        let data = config.data.clone();
        let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
        let admin = Admin::default();
        let storage = bind::<Storage>(config, &admin, &shutdown).await.unwrap();
        Running {
            name: storage.name().to_string(),
            data,
            rpc: storage.rpc_addr(),
            shutdown: shutdown.clone(),
            task: tokio::spawn(storage.serve()),
        }
    }

    /// The directory's word on an account.
    pub(crate) fn says(&self, id: AccountId, shard: &str, epoch: u64, state: AccountState) {
        self.says_all(id, shard, epoch, state, crate::rig::UID_VALIDITY, &[]);
    }

    /// As [`Self::says`]; UIDVALIDITYs below are void.
    pub(crate) fn says_since(
        &self,
        id: AccountId,
        shard: &str,
        epoch: u64,
        state: AccountState,
        uid_validity: u32,
    ) {
        self.says_all(id, shard, epoch, state, uid_validity, &[]);
    }

    /// The directory's word on an account of which others keep something.
    pub(crate) fn says_kept(
        &self,
        id: AccountId,
        shard: &str,
        epoch: u64,
        state: AccountState,
        keepers: &[&str],
    ) {
        self.says_all(id, shard, epoch, state, crate::rig::UID_VALIDITY, keepers);
    }

    fn says_all(
        &self,
        id: AccountId,
        shard: &str,
        epoch: u64,
        state: AccountState,
        uid_validity: u32,
        keepers: &[&str],
    ) {
        let entry = AccountEntry {
            route: Some(Route {
                account: id.to_field(),
                shard: shard.to_owned(),
                epoch,
                ..Route::default()
            }),
            state: state.into(),
            uid_validity: u64::from(uid_validity),
            keepers: keepers.iter().map(|keeper| (*keeper).to_owned()).collect(),
            ..AccountEntry::default()
        };
        let mut state = self.script.state.lock();
        state.entries.insert(id.as_bytes().to_vec(), entry.clone());
        let change = WatchReply {
            entries: vec![entry],
            snapshot_complete: true,
            revision: 2,
            ..WatchReply::default()
        };
        state
            .watchers
            .retain(|(_, watcher)| watcher.try_send(Ok(change.clone())).is_ok());
    }

    /// The directory tells a shard what it owes.
    pub(crate) fn owes(&self, shard: &str, debt: &Debt) {
        let mut state = self.script.state.lock();
        state.debts.retain(|(_, old)| old.move_id != debt.move_id);
        state.debts.push((shard.to_owned(), debt.clone()));
        let change = WatchReply {
            debts: vec![debt.clone()],
            snapshot_complete: true,
            revision: 2,
            ..WatchReply::default()
        };
        let debtors = state.watchers.iter().filter(|(name, _)| name == shard);
        for (_, watcher) in debtors {
            // One that is gone hears of it when it is back.
            let _ = watcher.try_send(Ok(change.clone()));
        }
    }

    /// Waits until a shard has paid a debt.
    pub(crate) async fn paid(&self, debt: &Debt) {
        until("paid", || self.script.state.lock().paid.contains(debt)).await;
    }

    /// Waits until a shard has confirmed this.
    pub(crate) async fn confirmed(&self, id: AccountId, epoch: u64, what: i32) {
        let wanted = |said: &Confirmation| {
            said.account == id.to_field() && said.epoch == epoch && said.what == what
        };
        until("confirmed", || {
            self.script.state.lock().confirmed.iter().any(wanted)
        })
        .await;
    }

    pub(crate) fn renewals(&self) -> Vec<RenewLeaseRequest> {
        self.script.state.lock().renewals.clone()
    }

    /// The revisions that watches went on from, in order.
    pub(crate) fn watches(&self) -> Vec<u64> {
        self.script.state.lock().watches.clone()
    }

    /// The incarnations whose leases were given back.
    pub(crate) fn released(&self) -> Vec<u64> {
        self.script.state.lock().released.clone()
    }

    /// What was told of openings, in order.
    pub(crate) fn openings(&self) -> Vec<Opening> {
        self.script.state.lock().openings.clone()
    }

    pub(crate) fn reports(&self) -> Vec<ReportRequest> {
        self.script.state.lock().reports.clone()
    }

    pub(crate) fn mover(&self, shard: &Running) -> MoverClient<Channel> {
        MoverClient::new(self.channel(shard, Tier::Directory, "dir-1"))
    }

    pub(crate) fn shard(&self, shard: &Running, tier: Tier) -> ShardClient<Channel> {
        ShardClient::new(self.channel(shard, tier, "caller-1"))
    }

    pub(crate) fn channel(&self, shard: &Running, tier: Tier, instance: &str) -> Channel {
        let credentials = self.credentials(tier, instance);
        let cluster = self.authority.cluster();
        let expect = Identity::new(cluster, Tier::Storage, &shard.name).unwrap();
        let endpoint = shard.rpc.to_string();
        channel(&endpoint, &expect, &credentials, ChannelOptions::default()).unwrap()
    }

    fn credentials(&self, tier: Tier, instance: &str) -> Credentials {
        Credentials::load(&self.identity(tier, instance)).unwrap()
    }

    fn identity(&self, tier: Tier, instance: &str) -> PathBuf {
        let folder = self.folder.path().join(format!("{tier}-{instance}"));
        if !folder.exists() {
            let identity = Identity::new(self.authority.cluster(), tier, instance).unwrap();
            self.authority.issue(&identity, &folder).unwrap();
        }
        folder
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

impl Running {
    pub(crate) async fn stop(self) {
        self.shutdown.trigger_now();
        let data = self.data.clone();
        self.ended().await.unwrap();
        // Calls that were cut off may hold the volume for a moment longer.
        let mut lock = None;
        until("the volume is free", || {
            lock = VolumeLock::take(&data).ok();
            lock.is_some()
        })
        .await;
        // And then all of it is.
        assert!(RealDisk::open(&data.join("heap")).is_ok());
        assert!(Index::open(&data.join("index"), lock).is_ok());
    }

    pub(crate) async fn ended(self) -> Result<(), Error> {
        tokio::time::timeout(SOON, self.task)
            .await
            .unwrap()
            .unwrap()
    }
}

/// Waits until a condition holds; looks often.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + SOON;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
