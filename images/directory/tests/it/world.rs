//! A directory over an embedded store, real certificates, and a shard that obeys it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use buzonera_directory::map::Shared;
use buzonera_directory::model::Key;
use buzonera_directory::model::records::ClusterRecord;
use buzonera_directory::store::{SharedStore, Txn};
use buzonera_directory::{Config, Cost, Directory, StoreAt, WhenEmpty};
use kit::admin::Admin;
use kit::authority::Authority;
use kit::frame::{Bound, Frame, bind};
use kit::lifecycle::{DRAIN, Shutdown};
use kit::rpc::{Channel, ChannelOptions, channel};
use kit::services::admin_client::AdminClient;
use kit::services::directory_client::DirectoryClient;
use kit::services::operator_client::OperatorClient;
use kit::services::registry_client::RegistryClient;
use kit::tls::Credentials;
use parking_lot::Mutex;
use prost::Message as _;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use wire::identity::{Identity, Tier};
use wire::ids::{ClusterId, RequestId};
use wire::rpc::acquire_lease_reply::Result as Lease;
use wire::rpc::confirmation::What;
use wire::rpc::{
    Account, AccountEntry, AccountState, AcquireLeaseRequest, AddAccountRequest, AddDomainRequest,
    AddShardRequest, ConfirmRequest, Confirmation, LockFile, ResolveRequest, Volume, WatchRequest,
};

use crate::store_suite::committed;

/// A running directory.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) authority: Authority,
    pub(crate) endpoint: String,
    instance: String,
    pub(crate) map: Arc<Shared>,
    pub(crate) shutdown: Shutdown,
    serving: JoinHandle<Result<(), buzonera_directory::Error>>,
}

impl World {
    /// A new cluster whose directory serves.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// As [`Self::start`], with other settings.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(&folder.path().join("ca"), ClusterId::random()).unwrap();
        let mut config = config(&authority, folder.path());
        change(&mut config);
        let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
        let directory = bind::<Directory>(config, &Admin::default(), &shutdown).await;
        Self::serve(folder, authority, directory.unwrap(), shutdown).await
    }

    /// Serves over a store that is open already, and returns once it answers.
    pub(crate) async fn over(
        folder: TempDir,
        authority: Authority,
        config: Config,
        store: SharedStore,
    ) -> Self {
        let world = Self::over_unasked(folder, authority, config, store);
        world.answers().await;
        world
    }

    /// Serves over a store that is open already.
    pub(crate) fn over_unasked(
        folder: TempDir,
        authority: Authority,
        config: Config,
        store: SharedStore,
    ) -> Self {
        let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
        let frame = Frame::new::<Directory>(&config.identity, &Admin::default(), &shutdown);
        let frame = frame.unwrap();
        let directory = Directory::over(config, store, &frame).unwrap();
        Self::serve_unasked(folder, authority, Bound::new(directory, frame), shutdown)
    }

    async fn serve(
        folder: TempDir,
        authority: Authority,
        directory: Bound<Directory>,
        shutdown: Shutdown,
    ) -> Self {
        let world = Self::serve_unasked(folder, authority, directory, shutdown);
        world.answers().await;
        world
    }

    async fn answers(&self) {
        until("the replica answers", || async {
            let nothing = ResolveRequest::default();
            self.lookups().resolve(nothing).await.ok()
        })
        .await;
    }

    pub(crate) fn serve_unasked(
        folder: TempDir,
        authority: Authority,
        directory: Bound<Directory>,
        shutdown: Shutdown,
    ) -> Self {
        let endpoint = directory.addr().to_string();
        let instance = directory.identity().instance().to_owned();
        let map = directory.map();
        let serving = tokio::spawn(directory.serve());
        Self {
            folder,
            authority,
            endpoint,
            instance,
            map,
            shutdown,
            serving,
        }
    }

    /// Stops it; what it kept stays.
    pub(crate) async fn stop(self) -> TempDir {
        self.shutdown.trigger();
        self.serving.await.unwrap().unwrap();
        self.folder
    }

    /// Stops and starts it again on what it kept.
    pub(crate) async fn restart(self) -> Self {
        let folder = self.stop().await;
        let authority = Authority::open(&folder.path().join("ca")).unwrap();
        let config = config(&authority, folder.path());
        let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
        let directory = bind::<Directory>(config, &Admin::default(), &shutdown).await;
        Self::serve(folder, authority, directory.unwrap(), shutdown).await
    }

    /// A channel to the directory from a process of this tier.
    pub(crate) fn channel(&self, tier: Tier, instance: &str) -> Channel {
        let credentials = issue(&self.authority, self.folder.path(), tier, instance);
        let expect = credentials.peer(Tier::Directory, &self.instance).unwrap();
        channel(
            &self.endpoint,
            &expect,
            &credentials,
            ChannelOptions::default(),
        )
        .unwrap()
    }

    pub(crate) fn admin(&self) -> AdminClient<Channel> {
        AdminClient::new(self.channel(Tier::Admin, "root"))
    }

    pub(crate) fn operator(&self) -> OperatorClient<Channel> {
        OperatorClient::new(self.channel(Tier::Operator, "operator"))
    }

    pub(crate) fn lookups(&self) -> DirectoryClient<Channel> {
        DirectoryClient::new(self.channel(Tier::Proxy, "proxy-0"))
    }

    /// Makes a domain and nothing else.
    pub(crate) async fn domain(&self, name: &str) {
        let request = AddDomainRequest {
            request_id: id(),
            name: name.to_owned(),
            ..AddDomainRequest::default()
        };
        self.admin().add_domain(request).await.unwrap();
    }

    /// Adds a shard and runs one that obeys.
    pub(crate) async fn shard(&self, name: &str) -> Shard {
        let request = AddShardRequest {
            request_id: id(),
            name: name.to_owned(),
        };
        self.admin().add_shard(request).await.unwrap();
        Shard::start(self.channel(Tier::Storage, name)).await
    }

    /// Makes an account with a password.
    pub(crate) async fn account(&self, address: &str, password: &str) -> Account {
        let request = AddAccountRequest {
            request_id: id(),
            address: address.to_owned(),
            password: password.as_bytes().to_vec().into(),
            ..AddAccountRequest::default()
        };
        self.admin()
            .add_account(request)
            .await
            .unwrap()
            .into_inner()
    }
}

/// Makes a store a cluster's before a test writes into it: one that holds something is no new one.
pub(crate) async fn claim(store: &SharedStore, cluster: ClusterId) {
    let record = ClusterRecord {
        cluster_id: cluster.to_field(),
        created_at_ms: 1,
    };
    let txn = Txn::new().put(Key::Cluster.to_string(), record.encode_to_vec());
    committed(store, txn).await;
}

/// Settings for tests: a new cluster, cheap hashes, little patience.
pub(crate) fn config(authority: &Authority, folder: &Path) -> Config {
    let identity = identity_folder(authority, folder, Tier::Directory, "directory-0");
    let store = StoreAt::Embedded(folder.join("store"));
    let mut config = Config::new(identity, SocketAddr::from(([127, 0, 0, 1], 0)), store);
    config.when_empty = WhenEmpty::Bootstrap;
    config.authenticate.cost = Cost {
        memory: 8,
        passes: 1,
    };
    config
}

/// The identity folder of one process, made once.
pub(crate) fn identity_folder(
    authority: &Authority,
    folder: &Path,
    tier: Tier,
    instance: &str,
) -> PathBuf {
    let identity = Identity::new(authority.cluster(), tier, instance).unwrap();
    let folder = folder.join(format!("{tier}-{instance}"));
    if !folder.exists() {
        authority.issue(&identity, &folder).unwrap();
    }
    folder
}

/// The credentials of one process.
pub(crate) fn issue(
    authority: &Authority,
    folder: &Path,
    tier: Tier,
    instance: &str,
) -> Credentials {
    Credentials::load(&identity_folder(authority, folder, tier, instance)).unwrap()
}

/// A fresh request id.
pub(crate) fn id() -> bytes::Bytes {
    RequestId::random().to_field()
}

/// A shard that keeps no mail: it takes the lease, follows the directory and confirms each order.
pub(crate) struct Shard {
    /// What it was told, in order.
    pub(crate) told: Arc<Mutex<Vec<AccountEntry>>>,
    following: JoinHandle<()>,
}

impl Shard {
    async fn start(channel: Channel) -> Self {
        let mut registry = RegistryClient::new(channel);
        let request = AcquireLeaseRequest {
            boot_id: "a boot".to_owned(),
            rpc_endpoint: "127.0.0.1:1".to_owned(),
            pop3_endpoint: "127.0.0.1:2".to_owned(),
            volume: Some(Volume {
                id: vec![1; 16].into(),
                ..Volume::default()
            }),
            lock: Some(LockFile {
                device: 1,
                inode: 1,
            }),
            ..AcquireLeaseRequest::default()
        };
        let reply = registry.acquire_lease(request).await.unwrap().into_inner();
        let Some(Lease::Granted(granted)) = reply.result else {
            panic!("{reply:?}");
        };
        let told = Arc::default();
        let following = tokio::spawn(follow(registry, granted.incarnation, Arc::clone(&told)));
        Self { told, following }
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.following.abort();
    }
}

async fn follow(
    mut registry: RegistryClient<Channel>,
    incarnation: u64,
    told: Arc<Mutex<Vec<AccountEntry>>>,
) {
    let request = WatchRequest {
        incarnation,
        after: 0,
    };
    let mut stream = registry.watch(request).await.unwrap().into_inner();
    while let Ok(Some(reply)) = stream.message().await {
        let confirmations: Vec<_> = reply.entries.iter().filter_map(confirmation).collect();
        told.lock().extend(reply.entries);
        if !confirmations.is_empty() {
            let request = ConfirmRequest {
                incarnation,
                confirmations,
                ..ConfirmRequest::default()
            };
            registry.confirm(request).await.unwrap();
        }
    }
}

fn confirmation(entry: &AccountEntry) -> Option<Confirmation> {
    let what = match entry.state() {
        AccountState::Creating => What::Created,
        AccountState::Removed => What::Suspended,
        AccountState::Purging => What::Dropped,
        AccountState::Active | AccountState::Unspecified => return None,
    };
    let route = entry.route.as_ref()?;
    Some(Confirmation {
        account: route.account.clone(),
        epoch: route.epoch,
        what: what.into(),
        ..Confirmation::default()
    })
}

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again until there is an answer.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, ask: impl Fn() -> F) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, asking).await;
    found.unwrap_or_else(|_| panic!("waited too long: {what}"))
}
