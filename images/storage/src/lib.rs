//! One shard: message heap, index, accounts, POP3, delivery, moves.
//!
//! [`Storage::bind`] locks the volume and opens the ports, [`Storage::serve`] works until it is
//! asked to stop. A change is decided in `shard` by the rules of `account`, written by `segments` as
//! one of `records`, then seen in `index`. `lease` says whether it may be acknowledged, `registry`
//! follows the directory, `service`, `moves` and `pop3` are the ways in.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kit::lifecycle::Shutdown;
use kit::listener::{BindError, Listener, ListenerConfig};
use kit::process::Process;
use kit::rpc::directory::{BadReplica, DirectoryOptions};
use kit::rpc::server::ServeError;
use kit::rpc::{ChannelOptions, DirectoryClient, ShardChannels};
use kit::services::mover_server::MoverServer;
use kit::services::shard_server::ShardServer;
use kit::task::NoAnswer;
use kit::tls::{Credentials, LoadError};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use wire::identity::Tier;
use wire::ids::{ClusterId, IdError, Incarnation, ShardName};
use wire::rpc::LockFile;

pub mod account;
mod config;
pub mod index;
pub mod lease;
pub mod maildrop;
pub mod metrics;
pub mod moves;
pub mod pop3;
pub mod records;
pub mod registry;
pub mod service;
pub mod shard;
pub mod space;
pub mod volume;

pub use crate::config::{
    Config, LEASE_PATIENCE, LOCK_PATIENCE, MIN_FREE_PERCENT, RebuildConfig, SPACE_EVERY,
};

use crate::index::IndexError;
use crate::lease::Lease;
use crate::maildrop::Mailstore;
use crate::metrics::Metrics;
use crate::moves::MoverService;
use crate::registry::keeper::{self, Claim, NoLease};
use crate::registry::{reporter, witness};
use crate::service::ShardService;
use crate::shard::{Ending, Shard, Unready};
use crate::space::Space;
use crate::volume::{Lost, Volume, VolumeError, VolumeLock};

/// Calls from one address at a time: all of MX may be behind one.
const RPC_CONNECTIONS: usize = 4096;

/// How a volume is opened.
type OpenVolume = fn(
    Arc<dyn segments::Disk>,
    segments::Options,
    &Path,
    Option<&VolumeLock>,
) -> Result<Volume, VolumeError>;

/// Why a shard does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A certificate or key.
    #[error(transparent)]
    Load(#[from] Box<LoadError>),
    /// The identity's instance is no shard name.
    #[error(transparent)]
    Name(#[from] IdError),
    /// A port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The list of directory replicas.
    #[error(transparent)]
    Directory(#[from] BadReplica),
    /// The volume.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The volume is another's.
    #[error("the volume {path} belongs to {owner}, and this is {me}", path = .path.display())]
    Foreign {
        /// The volume.
        path: PathBuf,
        /// Whose it is.
        owner: String,
        /// Who asks.
        me: String,
    },
    /// The lease.
    #[error(transparent)]
    Lease(#[from] NoLease),
    /// The RPC server.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A change that everything rests on could not be made durable.
    #[error("the shard cannot begin: {0}")]
    Begin(#[from] Unready),
    /// The shard had to end.
    #[error("the shard ended: {0}")]
    Ended(#[from] Ending),
    /// The volume was not opened, or not closed, to the end.
    #[error("the volume: {0}")]
    NoAnswer(#[from] NoAnswer),
}

impl Error {
    /// Whether the shard is not served because its volume is not the one it served last, or has
    /// lost mail.
    pub fn is_about_the_volume(&self) -> bool {
        match self {
            Self::Volume(VolumeError::Lost(_)) | Self::Lease(NoLease::Volume(_)) => true,
            Self::Volume(_)
            | Self::Lease(NoLease::Refused(_) | NoLease::Stopped)
            | Self::Load(_)
            | Self::Name(_)
            | Self::Bind(_)
            | Self::Directory(_)
            | Self::Index(_)
            | Self::Foreign { .. }
            | Self::Serve(_)
            | Self::Begin(_)
            | Self::Ended(_)
            | Self::NoAnswer(_) => false,
        }
    }
}

/// A shard with its volume locked and its ports open.
pub struct Storage {
    config: Config,
    name: ShardName,
    cluster: ClusterId,
    credentials: Credentials,
    directory: DirectoryClient,
    lock: VolumeLock,
    rpc: Listener,
    pop3: Listener,
    pop3_config: pop3::Config,
    metrics: Metrics,
    pop3_metrics: pop3::Metrics,
}

/// Serves one shard until the process is to end and its work is done, or it has to end. Readiness
/// asks for the lock of the volume and open ports; whether the shard may write is a metric.
pub async fn run(config: Config, process: Process) -> Result<(), Error> {
    let ready = process.admin.readiness.condition("storage");
    let shutdown = process.shutdown.clone();
    config.identity_files().wait(&shutdown).await;
    let bind = move || Storage::bind_unless(config, || shutdown.is_triggered());
    let storage = kit::task::blocking(bind).await??;
    let identity = storage.credentials.identity();
    process
        .admin
        .metrics
        .register(identity, |registry| storage.register(registry));
    ready.met();
    storage.serve(process.shutdown).await
}

/// Feeds any octets to every parser of this crate: records of the heap, rows and keys of the index,
/// parts of an export, the directory's words, lines of POP3, the lock file.
pub fn fuzz(data: &[u8]) {
    records::fuzz(data);
    index::fuzz(data);
    moves::fuzz(data);
    registry::reconcile::fuzz(data);
    pop3::machine::fuzz(data);
    volume::lock::fuzz(data);
}

/// Throws the index away and builds it from the heap; how many records there are. Blocks.
pub fn rebuild_index(data: &Path) -> Result<u64, Error> {
    let lock = VolumeLock::take(data)?;
    let (index, options) = (data.join("index"), segments::Options::default());
    let volume = volume::rebuild(volume::heap(data, &lock)?, options, &index, Some(&lock))?;
    volume.writer.index().persist()?;
    Ok(volume.replayed)
}

impl Storage {
    /// Locks the volume, reads certificates and opens the ports.
    pub fn bind(config: Config) -> Result<Self, Error> {
        Self::bind_unless(config, || false)
    }

    /// As [`Self::bind`]; `stop` ends the wait for the volume. Blocks.
    fn bind_unless(config: Config, stop: impl Fn() -> bool) -> Result<Self, Error> {
        let credentials =
            Credentials::load_for(Tier::Storage, config.identity_files()).map_err(Box::new)?;
        let name: ShardName = credentials.identity().instance().parse()?;
        let cluster = credentials.identity().cluster();
        let options = DirectoryOptions::default();
        let directory = DirectoryClient::of(config.replicas()?, &credentials, options)?;
        let lock = VolumeLock::wait(&config.data, config.lock_patience, stop)?;
        let times = config.pop3.clone();
        let pop3_config = pop3::Config::new("--pop3-listen", config.pop3_listen, times);
        let rpc = Listener::bind(ListenerConfig {
            max_connections: RPC_CONNECTIONS,
            max_per_address: RPC_CONNECTIONS,
            ..ListenerConfig::new("rpc", "--rpc-listen", config.rpc_listen)
        })?;
        Ok(Self {
            pop3: Listener::bind(pop3_config.listener.clone())?,
            rpc,
            pop3_config,
            name,
            cluster,
            credentials,
            directory,
            lock,
            metrics: Metrics::default(),
            pop3_metrics: pop3::Metrics::default(),
            config,
        })
    }

    /// Where callers connect.
    pub fn rpc_addr(&self) -> SocketAddr {
        self.rpc.local_addr()
    }

    /// Where proxies connect.
    pub fn pop3_addr(&self) -> SocketAddr {
        self.pop3.local_addr()
    }

    /// The shard's name.
    pub fn name(&self) -> &ShardName {
        &self.name
    }

    /// Adds its counters; `registry` gives them the prefix `buzonera_storage_`.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
        self.rpc.metrics().register(registry);
        self.pop3.metrics().register(registry);
        self.credentials.register(registry);
        self.directory.register(registry);
        self.pop3_metrics
            .register(registry.sub_registry_with_prefix("pop3"));
    }

    /// Opens the volume and serves until `shutdown` closes, or the shard has to end. Calls are
    /// answered "try again" until the directory has granted a lease and said what is here.
    pub async fn serve(self, shutdown: Shutdown) -> Result<(), Error> {
        self.credentials.watch(&shutdown);
        self.directory.watch(&shutdown);
        let lease = Lease::new(Arc::new(kit::clock::boottime), self.config.lease_patience);
        let directory = self.directory.clone();
        let shard = match self.open(lease.clone(), volume::open).await {
            Err(Error::Volume(VolumeError::Lost(lost))) => {
                self.let_go(&lease, lost, &shutdown).await?;
                self.open(lease, volume::open_despite).await?
            }
            opened => opened?,
        };
        let served = self.serve_shard(shard.clone(), shutdown).await;
        let closing = shard.clone();
        kit::task::blocking(move || closing.close()).await?;
        if served.is_ok() {
            keeper::release(&shard, &directory).await;
        }
        served
    }

    /// Acknowledged mail is lost: only an administrator lets the shard go on without it.
    async fn let_go(&self, lease: &Lease, lost: Lost, shutdown: &Shutdown) -> Result<(), Error> {
        tracing::error!(%lost, "the volume is not served");
        let claim = self.claim_of(wire::rpc::Volume::default(), None)?;
        match keeper::let_go(lease, &self.directory, &claim, shutdown).await {
            Err(NoLease::Volume(_)) => Err(VolumeError::Lost(lost).into()),
            answer => Ok(answer?),
        }
    }

    async fn open(&self, lease: Lease, open_volume: OpenVolume) -> Result<Shard, Error> {
        let data = self.config.data.clone();
        let (options, settings) = (self.config.heap.clone(), self.config.shard.clone());
        let (name, metrics) = (self.name.clone(), self.metrics.clone());
        let lock = self.lock.clone();
        let open = move || {
            let heap = volume::heap(&data, &lock)?;
            let volume = open_volume(heap, options, &data.join("index"), Some(&lock))?;
            let replayed = volume.replayed;
            let shard = Shard::start(name, volume, lease, settings, metrics.clone())?;
            metrics.heap.opened(shard.log().counters());
            let totals = shard.totals();
            tracing::info!(shard = %shard.name(), replayed, ?totals, "the volume is open");
            Ok::<_, Error>(shard)
        };
        kit::task::blocking(open).await?
    }

    async fn serve_shard(self, shard: Shard, shutdown: Shutdown) -> Result<(), Error> {
        let claim = self.claim(&shard)?;
        let channels = ShardChannels::new(self.credentials.clone(), ChannelOptions::default());
        let mover = MoverService::new(shard.clone(), channels);
        let routes = tonic::service::Routes::new(ShardServer::new(ShardService::new(
            shard.clone(),
            self.config.limits.clone(),
        )))
        .add_service(MoverServer::new(mover));
        let credentials = &self.credentials;
        let served = kit::rpc::server::serve(self.rpc, credentials, routes, shutdown.clone());
        let rpc = async { Ok(served.await?) };
        let store = Mailstore::new(shard.clone());
        let served = pop3::serve(
            self.pop3,
            credentials,
            store,
            self.pop3_config,
            self.pop3_metrics,
            shutdown.clone(),
        );
        let pop3 = async {
            served.await;
            Ok(())
        };
        let space = Space::now(&self.config.data);
        let watched = space.clone().watch(
            shard.clone(),
            self.config.data.clone(),
            self.config.space_every,
            self.config.min_free_percent,
        );
        let _space = AbortOnDropHandle::new(tokio::spawn(watched));
        let begin = begin(
            shard.clone(),
            self.directory,
            claim,
            self.cluster,
            self.lock,
            Told {
                space,
                report_every: self.config.report_every,
                watch_silence: self.config.watch_silence,
            },
            shutdown.clone(),
        );
        tokio::select! {
            served = async { tokio::try_join!(rpc, pop3, stop_early(begin)) } => served.map(|_| ()),
            ending = shard.failed() => Err(ending.into()),
        }
    }

    /// What the directory is asked for; refuses a volume that is not this shard's.
    fn claim(&self, shard: &Shard) -> Result<Claim, Error> {
        let volume = shard.index().volume()?;
        let cluster = match &volume {
            None => None,
            Some(row) => Some(ClusterId::from_slice(&row.cluster_id)?),
        };
        let foreign = |owner: String, me: String| Error::Foreign {
            path: self.config.data.clone(),
            owner,
            me,
        };
        if let Some(row) = volume.filter(|row| row.shard != self.name.as_str()) {
            return Err(foreign(row.shard, self.name.to_string()));
        }
        if let Some(other) = cluster.filter(|other| *other != self.cluster) {
            let me = format!("cluster {}", self.cluster);
            return Err(foreign(format!("cluster {other}"), me));
        }
        self.claim_of(shard.volume()?, cluster)
    }

    fn claim_of(
        &self,
        volume: wire::rpc::Volume,
        cluster: Option<ClusterId>,
    ) -> Result<Claim, Error> {
        let endpoint = |bound: SocketAddr| match &self.config.advertise {
            Some(host) => host.endpoint(bound.port()),
            None => bound.to_string(),
        };
        let (device, inode) = self.lock.file()?;
        Ok(Claim {
            volume,
            lock: LockFile { device, inode },
            boot_id: self.config.boot_id.clone(),
            cluster,
            rpc_endpoint: endpoint(self.rpc.local_addr()),
            pop3_endpoint: endpoint(self.pop3.local_addr()),
        })
    }
}

/// What the directory is told, how often, and how long it may be silent.
struct Told {
    space: Space,
    report_every: Duration,
    watch_silence: Duration,
}

/// Gets the lease, and follows the directory under it until `shutdown` closes.
async fn begin(
    shard: Shard,
    directory: DirectoryClient,
    claim: Claim,
    cluster: ClusterId,
    lock: VolumeLock,
    told: Told,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let Told {
        space,
        report_every,
        watch_silence,
    } = told;
    let granted = keeper::acquire(shard.lease(), &directory, &claim, &shutdown).await?;
    if granted.cluster != cluster || granted.incarnation.0 <= claim.volume.opened {
        let text = format!(
            "the directory of cluster {} granted incarnation {}, and this volume of cluster \
             {cluster} has seen {}",
            granted.cluster, granted.incarnation, claim.volume.opened
        );
        return Err(NoLease::Refused(text).into());
    }
    shard
        .open_incarnation(granted.cluster.to_field(), granted.incarnation)
        .await?;
    name_holder(&lock, granted.incarnation);
    let load = {
        let shard = shard.clone();
        move || space.load(&shard)
    };
    let (followed, mut is_followed) = watch::channel(false);
    let keep = keeper::keep(shard.clone(), directory.clone(), is_followed.clone());
    let _keep = AbortOnDropHandle::new(tokio::spawn(keep));
    let report = reporter::report(shard.clone(), directory.clone(), report_every, load);
    let _report = AbortOnDropHandle::new(tokio::spawn(report));
    tracing::info!(incarnation = %granted.incarnation, "the lease is granted");
    let doubts = registry::doubts::answer(shard.clone(), directory.clone());
    let _doubts = AbortOnDropHandle::new(tokio::spawn(doubts));
    let (recorded, mut is_recorded) = watch::channel(false);
    let tell = witness::tell(shard.clone(), directory.clone(), recorded);
    let _tell = AbortOnDropHandle::new(tokio::spawn(tell));
    // Nothing is acknowledged before it is known outside which volume that is on.
    tokio::select! {
        _ = is_recorded.wait_for(|recorded| *recorded) => {}
        () = shutdown.closing() => return Ok(()),
    }
    let ready = async {
        if is_followed.wait_for(|followed| *followed).await.is_ok() {
            tracing::info!("the shard serves what the directory assigns to it");
        }
    };
    tokio::join!(
        registry::follow(shard, directory, followed, watch_silence, shutdown.clone()),
        ready
    );
    // Answers under way still need the lease.
    let _ = shutdown.drained().await;
    Ok(())
}

/// The name is for people; the lock holds without it.
fn name_holder(lock: &VolumeLock, incarnation: Incarnation) {
    if let Err(error) = lock.name_holder(incarnation) {
        tracing::warn!(%error, "the lock file does not name its holder");
    }
}

/// To be asked to stop before the lease was granted is no failure.
async fn stop_early(begin: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    match begin.await {
        Err(Error::Lease(NoLease::Stopped)) => Ok(()),
        result => result,
    }
}
