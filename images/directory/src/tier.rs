//! One replica: the store, the map that follows it, the services, and what the elected one does.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use kit::config::Program;
use kit::frame::{self, Frame, Tier};
use kit::lifecycle::Shutdown;
use kit::listener::{Listener, ListenerConfig};
use kit::rpc::{ChannelOptions, ShardChannels};
use kit::services::admin_server::AdminServer;
use kit::services::directory_server::DirectoryServer;
use kit::services::registry_server::RegistryServer;
use kit::tls::{Credentials, IdentityFiles};
use tokio::task::JoinSet;
use tonic::service::Routes;
use wire::identity;

use crate::admin::Admin;
use crate::authenticate::{Authenticator, Pool, SetupError};
use crate::cluster::{self, ClusterError};
use crate::config::{Config, StoreAt};
use crate::contact::{self, Contact};
use crate::election::{Election, Term};
use crate::lookups::Lookups;
use crate::map::{self, Shared};
use crate::metrics::Metrics;
use crate::moves::{Replica, drive};
use crate::registry;
use crate::store::embedded::Embedded;
use crate::store::etcd::Etcd;
use crate::store::observed::{Observed, Writes};
use crate::store::{self, Freshness, SharedStore, embedded, etcd};

/// Why a replica does not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A certificate, the port, the RPC server.
    #[error(transparent)]
    Frame(#[from] frame::Error),
    /// The store cannot be opened.
    #[error("{at}: {source}")]
    Store {
        /// Which store.
        at: StoreAt,
        /// What it says.
        source: store::Error,
    },
    /// The store is not this cluster's.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Passwords cannot be checked.
    #[error(transparent)]
    Authenticate(#[from] SetupError),
}

/// All keys of a cluster in etcd start with it.
const ETCD_PREFIX: &str = "/buzonera/";

/// Pause between attempts to reach a store at the start.
const STORE_PAUSE: Duration = Duration::from_millis(500);

/// How often the map's gauges are read.
const OBSERVE: Duration = Duration::from_secs(10);

/// A replica with its port and store open.
pub struct Directory {
    config: Config,
    credentials: Credentials,
    listener: Listener,
    store: SharedStore,
    writes: Writes,
    /// Once it serves.
    freshness: Arc<OnceLock<Weak<Freshness>>>,
    shared: Arc<Shared>,
    metrics: Metrics,
}

impl Tier for Directory {
    type Config = Config;
    type Error = Error;

    const TIER: identity::Tier = identity::Tier::Directory;
    const PROGRAM: Program = Program {
        name: "buzonera-directory",
        about: "One replica of Buzonera's directory: addresses, accounts, credentials, moves",
        version: env!("CARGO_PKG_VERSION"),
    };

    fn identity(config: &Config) -> IdentityFiles {
        config.identity_files()
    }

    async fn bind(config: Config, frame: &Frame) -> Result<Self, Error> {
        if let Some(folder) = &config.store_identity {
            frame.follow_bundle("store_identity", &IdentityFiles::from(folder).ca)?;
        }
        let store = open_store(&config).await;
        let store = store.map_err(|source| Error::Store {
            at: config.store.clone(),
            source,
        })?;
        Self::over(config, store, frame)
    }

    /// While the store is away the answers are `unsure`. It is ready once the map is loaded, and
    /// from then on: what is in memory is answered also while the store is away.
    async fn serve(self, frame: Frame) -> Result<(), Error> {
        tokio::select! {
            checked = self.check_cluster() => checked?,
            () = frame.shutdown.closing() => return Ok(()),
        }
        let freshness = Freshness::new(Arc::clone(&self.store), self.shared.reached());
        let freshness = Arc::new(freshness);
        let contact = Contact::new(Arc::clone(&freshness), self.config.contact_limit);
        let contact = Arc::new(contact);
        self.freshness.get_or_init(|| Arc::downgrade(&freshness));
        let admin = self.admin(&freshness, &contact);
        let routes = self.routes(&freshness, &admin, &frame.shutdown)?;
        // The tasks end with the set.
        let mut tasks = JoinSet::new();
        tasks.spawn(map::follow(
            Arc::clone(&self.store),
            Arc::clone(&self.shared),
        ));
        let own_store = self.has_own_store();
        tasks.spawn(observe(self.metrics.clone(), Arc::clone(&self.shared)));
        tasks.spawn(self.leader(admin, frame.shutdown.clone()).run());
        tokio::select! {
            served = frame.serve_rpc(self.listener, routes) => Ok(served?),
            never = contact.keep(&frame.ready, own_store) => match never {},
        }
    }
}

impl Directory {
    /// A replica over a store that is open already.
    pub fn over(config: Config, store: SharedStore, frame: &Frame) -> Result<Self, Error> {
        let listener = ListenerConfig::new("directory", "--listen", config.listen);
        let writes = Writes::default();
        let directory = Self {
            listener: frame.listen(listener)?,
            credentials: frame.credentials.clone(),
            config,
            store: Arc::new(Observed::new(store, writes.clone())),
            writes,
            freshness: Arc::default(),
            shared: Arc::default(),
            metrics: Metrics::default(),
        };
        frame.register(|registry| {
            directory.metrics.register(registry);
            directory.writes.register(registry);
            let freshness = Arc::clone(&directory.freshness);
            contact::register(registry, move || freshness.get()?.upgrade()?.age());
            directory.listener.metrics().register(registry);
        });
        Ok(directory)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// The map, for what asks it in process.
    pub fn map(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    fn leader(&self, admin: Admin, shutdown: Shutdown) -> Leader {
        Leader {
            instance: self.credentials.identity().instance().to_owned(),
            config: self.config.clone(),
            admin,
            shutdown,
        }
    }

    /// Waits for the store, and refuses one that is not ours.
    async fn check_cluster(&self) -> Result<(), ClusterError> {
        let ours = self.credentials.identity().cluster();
        loop {
            match cluster::check(&*self.store, ours, self.config.bootstrap).await {
                Err(ClusterError::Store(error)) if error.is_temporary() => {
                    tracing::warn!(%error, "the store cannot be asked yet");
                    tokio::time::sleep(STORE_PAUSE).await;
                }
                checked => return checked,
            }
        }
    }

    /// Whether nobody else has to answer for it to load.
    fn has_own_store(&self) -> bool {
        match self.config.store {
            StoreAt::Embedded(_) => true,
            StoreAt::Etcd(_) => false,
        }
    }

    fn admin(&self, freshness: &Arc<Freshness>, contact: &Arc<Contact>) -> Admin {
        let config = &self.config.authenticate;
        Admin {
            store: Arc::clone(&self.store),
            writes: self.writes.clone(),
            shared: Arc::clone(&self.shared),
            freshness: Arc::clone(freshness),
            contact: Arc::clone(contact),
            pool: Pool::new(config.cores, config.waiting, config.cost),
            channels: ShardChannels::new(self.credentials.clone(), ChannelOptions::default()),
            config: Arc::new(self.config.admin.clone()),
        }
    }

    /// Every service.
    fn routes(
        &self,
        freshness: &Arc<Freshness>,
        admin: &Admin,
        shutdown: &Shutdown,
    ) -> Result<Routes, SetupError> {
        let authenticator = Authenticator::new(
            Arc::clone(&self.shared),
            Arc::clone(freshness),
            admin.pool.clone(),
            &self.config.authenticate,
        )?;
        let lookups = Lookups {
            shared: Arc::clone(&self.shared),
            freshness: Arc::clone(freshness),
            contact: Arc::clone(&admin.contact),
            authenticator,
            metrics: self.metrics.clone(),
            budget: self.config.resolve_budget,
            shutdown: shutdown.clone(),
        };
        let shards = registry::Registry {
            store: Arc::clone(&self.store),
            shared: Arc::clone(&self.shared),
            freshness: Arc::clone(freshness),
            cluster: self.credentials.identity().cluster(),
            config: self.config.registry.clone(),
            shutdown: shutdown.clone(),
        };
        let mut routes = Routes::builder();
        routes
            .add_service(DirectoryServer::new(lookups))
            .add_service(RegistryServer::new(shards))
            .add_service(AdminServer::new(admin.clone()));
        Ok(routes.routes())
    }
}

async fn open_store(config: &Config) -> Result<SharedStore, store::Error> {
    match &config.store {
        StoreAt::Embedded(folder) => {
            let store = Embedded::open(folder, embedded::Options::default()).await?;
            Ok(Arc::new(store))
        }
        StoreAt::Etcd(endpoints) => {
            let mut options = etcd::Options::new(endpoints.clone(), ETCD_PREFIX);
            options.tls = config.store_identity.as_ref().map(IdentityFiles::from);
            Ok(Arc::new(Etcd::new(options)?))
        }
    }
}

async fn observe(metrics: Metrics, shared: Arc<Shared>) {
    loop {
        metrics.observe(&shared);
        tokio::time::sleep(OBSERVE).await;
    }
}

/// What only the elected replica does.
struct Leader {
    instance: String,
    config: Config,
    admin: Admin,
    shutdown: Shutdown,
}

impl Leader {
    /// Stands for election once it has loaded, and works whenever elected, until shut down.
    async fn run(self) {
        tokio::select! {
            () = self.admin.contact.loaded() => {}
            () = self.shutdown.closing() => return,
        }
        let store = Arc::clone(&self.admin.store);
        let config = self.config.election.clone();
        let election = Election::start(store, &self.instance, config, self.shutdown.clone());
        election.lead(|term| self.lead(term)).await;
    }

    async fn lead(&self, term: Term) {
        let shared = Arc::clone(&self.admin.shared);
        let replica = Replica::new(shared, self.admin.channels.clone());
        let store = Arc::clone(&self.admin.store);
        let moves = drive(store, replica, self.config.moves.clone(), term);
        tokio::join!(moves, self.admin.sweep());
    }
}
