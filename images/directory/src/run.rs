//! One replica: the store, the map that follows it, the services, and what the elected one does.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use kit::admin::Condition;
use kit::lifecycle::Shutdown;
use kit::listener::{BindError, Listener, ListenerConfig};
use kit::rpc::server::{ServeError, serve};
use kit::rpc::{ChannelOptions, ShardChannels};
use kit::services::admin_server::AdminServer;
use kit::services::directory_server::DirectoryServer;
use kit::services::registry_server::RegistryServer;
use kit::tls::{BundleFile, Credentials, IdentityFiles, LoadError};
use prometheus_client::registry::Registry;
use tokio::task::JoinSet;
use tonic::service::Routes;
use wire::identity::{Identity, Tier};

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
    /// A certificate or key.
    #[error(transparent)]
    Load(#[from] Box<LoadError>),
    /// The port.
    #[error(transparent)]
    Bind(#[from] BindError),
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
    /// Serving ended.
    #[error(transparent)]
    Serve(#[from] ServeError),
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
    ready: Option<Condition>,
    store_bundle: Option<BundleFile>,
}

/// Opens port and store and serves until `shutdown` closes and the calls under way are done.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), Error> {
    Directory::open(config).await?.serve(shutdown).await
}

impl Directory {
    /// Reads the identity, opens the port, then the store.
    pub async fn open(config: Config) -> Result<Self, Error> {
        let (credentials, listener) = prepare(&config)?;
        let store_bundle = config.store_identity.as_ref().map(|folder| {
            let files = IdentityFiles::from(folder);
            BundleFile::load(&files.ca).map_err(Box::new)
        });
        let store_bundle = store_bundle.transpose()?;
        let store = open_store(&config).await;
        let store = store.map_err(|source| Error::Store {
            at: config.store.clone(),
            source,
        })?;
        let mut this = Self::over(config, credentials, listener, store);
        this.store_bundle = store_bundle;
        Ok(this)
    }

    /// As [`Self::open`], over a store that is open already.
    pub fn open_over(config: Config, store: SharedStore) -> Result<Self, Error> {
        let (credentials, listener) = prepare(&config)?;
        Ok(Self::over(config, credentials, listener, store))
    }

    fn over(
        config: Config,
        credentials: Credentials,
        listener: Listener,
        store: SharedStore,
    ) -> Self {
        let writes = Writes::default();
        Self {
            config,
            credentials,
            listener,
            store: Arc::new(Observed::new(store, writes.clone())),
            writes,
            freshness: Arc::default(),
            shared: Arc::default(),
            metrics: Metrics::default(),
            ready: None,
            store_bundle: None,
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// The map, for what asks it in process.
    pub fn map(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        self.credentials.identity()
    }

    /// The condition holds while this replica serves, and says when it answers no lookups: see
    /// [`Contact::keep`].
    pub fn ready_when_serving(&mut self, condition: Condition) {
        self.ready = Some(condition);
    }

    /// Adds its counters; `registry` has the prefix `buzonera_directory`.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
        self.writes.register(registry);
        let freshness = Arc::clone(&self.freshness);
        contact::register(registry, move || freshness.get()?.upgrade()?.age());
        self.listener.metrics().register(registry);
        self.credentials.register(registry);
        if let Some(bundle) = &self.store_bundle {
            bundle.register("store_identity", registry);
        }
    }

    /// Serves until `shutdown` closes.
    pub async fn serve(mut self, shutdown: Shutdown) -> Result<(), Error> {
        self.credentials.watch(&shutdown);
        if let Some(bundle) = &self.store_bundle {
            bundle.watch(&shutdown);
        }
        tokio::select! {
            checked = self.check_cluster() => checked?,
            () = shutdown.closing() => return Ok(()),
        }
        let freshness = Freshness::new(Arc::clone(&self.store), self.shared.reached());
        let freshness = Arc::new(freshness);
        let contact = Contact::new(Arc::clone(&freshness), self.config.contact_limit);
        let contact = Arc::new(contact);
        self.freshness.get_or_init(|| Arc::downgrade(&freshness));
        let admin = self.admin(&freshness, &contact);
        let routes = self.routes(&freshness, &admin, &shutdown)?;
        // The tasks end with the set.
        let mut tasks = JoinSet::new();
        tasks.spawn(map::follow(
            Arc::clone(&self.store),
            Arc::clone(&self.shared),
        ));
        let (ready, own_store) = (self.ready.take(), self.has_own_store());
        tasks.spawn(async move { contact.keep(ready, own_store).await });
        tasks.spawn(observe(self.metrics.clone(), Arc::clone(&self.shared)));
        tasks.spawn(self.leader(admin, shutdown.clone()).run());
        serve(self.listener, &self.credentials, routes, shutdown).await?;
        Ok(())
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

fn prepare(config: &Config) -> Result<(Credentials, Listener), Error> {
    let credentials = Credentials::load_for(Tier::Directory, config.identity_files());
    let credentials = credentials.map_err(Box::new)?;
    let listener = ListenerConfig::new("directory", "--listen", config.listen);
    Ok((credentials, Listener::bind(listener)?))
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
