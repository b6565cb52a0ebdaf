//! The shard as a process: its lock, its ports, its volume, its end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kit::config::Program;
use kit::frame::{self, Frame};
use kit::lifecycle::Shutdown;
use kit::listener::{Listener, ListenerConfig};
use kit::rpc::{ChannelOptions, DirectoryClient, ShardChannels};
use kit::services::mover_server::MoverServer;
use kit::services::shard_server::ShardServer;
use kit::task::NoAnswer;
use kit::tls::IdentityFiles;
use prometheus_client::registry::Registry;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;
use wire::identity::Tier;
use wire::ids::{ClusterId, IdError, ShardName};
use wire::rpc::LockFile;

use crate::config::Config;
use crate::index::IndexError;
use crate::lease::Lease;
use crate::maildrop::Mailstore;
use crate::metrics::Metrics;
use crate::moves::MoverService;
use crate::opening::Progress;
use crate::opening::teller::Teller;
use crate::registry::keeper::{self, Claim, NoLease};
use crate::service::ShardService;
use crate::shard::{Ending, Shard, Unready};
use crate::space::Space;
use crate::tenure::{Tenure, Told};
use crate::volume::{Lost, Volume, VolumeError, VolumeLock};
use crate::{pop3, volume};

/// Calls from one address at a time: all of MX may be behind one.
const RPC_CONNECTIONS: usize = 4096;

/// How a volume is opened.
type OpenVolume = fn(
    Arc<dyn segments::Disk>,
    segments::Options,
    &Path,
    Option<&VolumeLock>,
    &Progress,
) -> Result<Volume, VolumeError>;

/// Why a shard does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A certificate, a port, the list of replicas, the RPC server.
    #[error(transparent)]
    Frame(#[from] frame::Error),
    /// The identity's instance is no shard name.
    #[error(transparent)]
    Name(#[from] IdError),
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
            | Self::Frame(_)
            | Self::Name(_)
            | Self::Index(_)
            | Self::Foreign { .. }
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
    directory: DirectoryClient,
    lock: VolumeLock,
    rpc: Listener,
    pop3: Listener,
    pop3_config: pop3::Config,
    metrics: Metrics,
    pop3_metrics: pop3::Metrics,
}

impl frame::Tier for Storage {
    type Config = Config;
    type Error = Error;

    const TIER: Tier = Tier::Storage;
    const PROGRAM: Program = Program {
        name: "buzonera-storage",
        about: "Keeps the mail of its accounts on one volume and serves it",
        version: env!("CARGO_PKG_VERSION"),
    };

    fn identity(config: &Config) -> IdentityFiles {
        config.identity_files()
    }

    /// Readiness asks for the lock of the volume and open ports; whether the shard may write is a
    /// metric.
    async fn bind(config: Config, frame: &Frame) -> Result<Self, Error> {
        let name = frame.credentials.identity().instance().parse()?;
        let directory = frame.directory(config.replicas().map_err(frame::Error::from)?)?;
        let lock = lock(&config, &frame.shutdown).await?;
        let times = config.pop3.clone();
        let pop3_config = pop3::Config::new("--pop3-listen", config.pop3_listen, times);
        let storage = Self {
            rpc: frame.listen(ListenerConfig {
                max_connections: RPC_CONNECTIONS,
                max_per_address: RPC_CONNECTIONS,
                ..ListenerConfig::new("rpc", "--rpc-listen", config.rpc_listen)
            })?,
            pop3: frame.listen(pop3_config.listener.clone())?,
            name,
            directory,
            lock,
            pop3_config,
            metrics: Metrics::default(),
            pop3_metrics: pop3::Metrics::default(),
            config,
        };
        frame.register(|registry| storage.register(registry));
        frame.ready.met();
        Ok(storage)
    }

    /// Opens the volume and serves until the shutdown closes, or the shard has to end. Calls are
    /// answered "try again" until the directory has granted a lease and said what is here.
    async fn serve(self, frame: Frame) -> Result<(), Error> {
        let lease = Lease::new(Arc::new(kit::clock::boottime), self.config.lease_patience);
        let directory = self.directory.clone();
        let shard = self.open_and_tell(lease, &frame).await?;
        let served = self.serve_shard(shard.clone(), &frame).await;
        let closing = shard.clone();
        kit::task::blocking(move || closing.close()).await?;
        if served.is_ok() {
            keeper::release(&shard, &directory).await;
        }
        served
    }
}

/// Throws the index away and builds it from the heap; how many records there are. Blocks.
pub fn rebuild_index(data: &Path) -> Result<u64, Error> {
    let lock = VolumeLock::take(data)?;
    let (index, options) = (data.join("index"), segments::Options::default());
    let (heap, unseen) = (volume::heap(data, &lock)?, Progress::default());
    let volume = volume::rebuild(heap, options, &index, Some(&lock), &unseen)?;
    volume.writer.index().persist()?;
    Ok(volume.replayed)
}

/// Waits until the volume is no other process's.
async fn lock(config: &Config, shutdown: &Shutdown) -> Result<VolumeLock, Error> {
    let (data, patience) = (config.data.clone(), config.lock_patience);
    let shutdown = shutdown.clone();
    let wait = move || VolumeLock::wait(&data, patience, || shutdown.is_triggered());
    Ok(kit::task::blocking(wait).await??)
}

impl Storage {
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

    fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
        self.rpc.metrics().register(registry);
        self.pop3.metrics().register(registry);
        self.pop3_metrics
            .register(registry.sub_registry_with_prefix("pop3"));
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

    /// Opens the volume. The directory hears of it: until there is a lease it knows nothing else.
    async fn open_and_tell(&self, lease: Lease, frame: &Frame) -> Result<Shard, Error> {
        let teller = Teller {
            directory: &self.directory,
            ready: &frame.ready,
            percent: &self.metrics.opening_percent,
        };
        let progress = Progress::default();
        let open = |lease, how| teller.during(&progress, self.open(lease, how, &progress));
        match open(lease.clone(), volume::open).await {
            Err(Error::Volume(VolumeError::Lost(lost))) => {
                self.let_go(&lease, lost, &frame.shutdown).await?;
                open(lease, volume::open_despite).await
            }
            opened => opened,
        }
    }

    async fn open(
        &self,
        lease: Lease,
        open_volume: OpenVolume,
        progress: &Progress,
    ) -> Result<Shard, Error> {
        let data = self.config.data.clone();
        let (options, settings) = (self.config.heap.clone(), self.config.shard.clone());
        let (name, metrics) = (self.name.clone(), self.metrics.clone());
        let (lock, progress, open_heap) =
            (self.lock.clone(), progress.clone(), self.config.open_heap);
        let open = move || {
            let heap = open_heap(&data, &lock)?;
            let index = data.join("index");
            let volume = open_volume(heap, options, &index, Some(&lock), &progress)?;
            let replayed = volume.replayed;
            let shard = Shard::start(name, volume, lease, settings, metrics.clone())?;
            metrics.heap.opened(shard.log().counters());
            let totals = shard.totals();
            tracing::info!(shard = %shard.name(), replayed, ?totals, "the volume is open");
            Ok::<_, Error>(shard)
        };
        kit::task::blocking(open).await?
    }

    async fn serve_shard(self, shard: Shard, frame: &Frame) -> Result<(), Error> {
        let cluster = frame.credentials.identity().cluster();
        let space = Space::now(&self.config.data);
        let tenure = Tenure {
            claim: self.claim(&shard, cluster)?,
            shard: shard.clone(),
            directory: self.directory,
            cluster,
            lock: self.lock,
            told: Told {
                space: space.clone(),
                report_every: self.config.report_every,
                watch_silence: self.config.watch_silence,
            },
            shutdown: frame.shutdown.clone(),
        };
        let watched = space.watch(
            shard.clone(),
            self.config.data.clone(),
            self.config.space_every,
            self.config.min_free_percent,
        );
        let _space = AbortOnDropHandle::new(tokio::spawn(watched));
        let channels = ShardChannels::new(frame.credentials.clone(), ChannelOptions::default());
        let mover = MoverService::new(shard.clone(), channels);
        let deliveries = ShardService::new(shard.clone(), self.config.limits);
        let routes = Routes::new(ShardServer::new(deliveries)).add_service(MoverServer::new(mover));
        let rpc = async { Ok(frame.serve_rpc(self.rpc, routes).await?) };
        let served = pop3::serve(
            self.pop3,
            &frame.credentials,
            Mailstore::new(shard.clone()),
            self.pop3_config,
            self.pop3_metrics,
            frame.shutdown.clone(),
        );
        let pop3 = async {
            served.await;
            Ok(())
        };
        tokio::select! {
            served = async { tokio::try_join!(rpc, pop3, tenure.hold()) } => served.map(|_| ()),
            ending = shard.failed() => Err(ending.into()),
        }
    }

    /// What the directory is asked for; refuses a volume that is not this shard's.
    fn claim(&self, shard: &Shard, ours: ClusterId) -> Result<Claim, Error> {
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
        if let Some(other) = cluster.filter(|other| *other != ours) {
            let me = format!("cluster {ours}");
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
            node: self.config.node.clone().unwrap_or_else(machine),
        })
    }
}

/// This machine's name; in a container that of the container.
fn machine() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}
