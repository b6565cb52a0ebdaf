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
use kit::services::operator_server::OperatorServer;
use kit::services::registry_server::RegistryServer;
use kit::tls::{BundleFile, Credentials, IdentityFiles};
use tokio::task::JoinSet;
use tonic::service::Routes;
use wire::identity;
use wire::ids::ClusterId;

use crate::admin::Admin;
use crate::authenticate::{Authenticator, Pool, SetupError};
use crate::claim::{Claim, WhenEmpty};
use crate::cluster::ClusterError;
use crate::config::{Config, StoreAt};
use crate::contact::{self, Contact};
use crate::election::{Election, Term};
use crate::lookups::Lookups;
use crate::map::{self, Shared};
use crate::metrics::Metrics;
use crate::moves::{Replica, drive};
use crate::operator::{self, Operator};
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

/// All keys in etcd start with it and the cluster's id: several clusters may share one etcd.
const ETCD_PREFIX: &str = "/buzonera/";

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
    store_bundle: Option<BundleFile>,
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
        let cluster = frame.credentials.identity().cluster();
        let store = open_store(&config, cluster).await;
        let store = store.map_err(|source| Error::Store {
            at: config.store.clone(),
            source,
        })?;
        Self::over(config, store, frame)
    }

    /// Until the store is known to be ours every answer but those of the operator's Bootstrap and
    /// Status is "not me". What is in memory is answered also while the store is away.
    async fn serve(self, frame: Frame) -> Result<(), Error> {
        let cluster = self.credentials.identity().cluster();
        let claim = Claim::new(Arc::clone(&self.store), cluster);
        let when_empty = self.config.when_empty;
        if when_empty != WhenEmpty::Wait {
            // Nobody is to see this replica before what its starter knows is done.
            tokio::select! {
                established = claim.establish(when_empty) => established?,
                () = frame.shutdown.closing() => return Ok(()),
            }
        }
        let freshness = Freshness::new(Arc::clone(&self.store), self.shared.reached());
        let freshness = Arc::new(freshness);
        let limit = self.config.contact_limit;
        let contact = Contact::new(claim.clone(), Arc::clone(&freshness), limit);
        let contact = Arc::new(contact);
        self.freshness.get_or_init(|| Arc::downgrade(&freshness));
        let admin = self.admin(&freshness, &contact);
        let routes = self.routes(&freshness, &admin, &claim, &frame.shutdown)?;
        let own_store = self.has_own_store();
        // The tasks end with the set.
        let mut tasks = JoinSet::new();
        tasks.spawn(observe(self.metrics.clone(), Arc::clone(&self.shared)));
        tasks.spawn(follow(
            Arc::clone(&self.store),
            Arc::clone(&self.shared),
            claim.clone(),
        ));
        let leader = self.leader(admin, frame.shutdown.clone());
        tasks.spawn(lead(leader, claim.clone()));
        tokio::select! {
            served = frame.serve_rpc(self.listener, routes) => Ok(served?),
            foreign = never_ours(&claim, when_empty) => Err(foreign.into()),
            never = contact.keep(&frame.ready, own_store) => match never {},
        }
    }
}

impl Directory {
    /// A replica over a store that is open already.
    pub fn over(config: Config, store: SharedStore, frame: &Frame) -> Result<Self, Error> {
        let listener = ListenerConfig::new("directory", "--listen", config.listen);
        let writes = Writes::default();
        let store_identity = config.store_identity.as_ref().map(IdentityFiles::from);
        let follow = |files: IdentityFiles| frame.follow_bundle("store_identity", &files.ca);
        let directory = Self {
            store_bundle: store_identity.map(follow).transpose()?,
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
        claim: &Claim,
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
        let operator = Operator {
            admin: admin.clone(),
            claim: claim.clone(),
            credentials: self.credentials.clone(),
            store_bundle: self.store_bundle.clone(),
        };
        let gate = operator::gate(claim.clone());
        let mut routes = Routes::builder();
        routes
            .add_service(DirectoryServer::with_interceptor(lookups, gate.clone()))
            .add_service(RegistryServer::with_interceptor(shards, gate.clone()))
            .add_service(AdminServer::with_interceptor(admin.clone(), gate.clone()))
            .add_service(OperatorServer::with_interceptor(operator, gate));
        Ok(routes.routes())
    }
}

async fn open_store(config: &Config, cluster: ClusterId) -> Result<SharedStore, store::Error> {
    match &config.store {
        StoreAt::Embedded(folder) => {
            let store = Embedded::open(folder, embedded::Options::default()).await?;
            Ok(Arc::new(store))
        }
        StoreAt::Etcd(endpoints) => {
            let mut options =
                etcd::Options::new(endpoints.clone(), format!("{ETCD_PREFIX}{cluster}/"));
            options.tls = config.store_identity.as_ref().map(IdentityFiles::from);
            Ok(Arc::new(Etcd::new(options)?))
        }
    }
}

/// Keeps the map at the heels of a store that is ours.
async fn follow(store: SharedStore, shared: Arc<Shared>, claim: Claim) {
    claim.ours_now().await;
    map::follow(store, shared, |found| claim.confirm(found)).await;
}

/// Writes nothing into a store that is not ours yet.
async fn lead(leader: Leader, claim: Claim) {
    tokio::select! {
        () = claim.ours_now() => leader.run().await,
        () = leader.shutdown.closing() => {}
    }
}

/// Why the store will never be ours.
async fn never_ours(claim: &Claim, when_empty: WhenEmpty) -> ClusterError {
    match claim.establish(when_empty).await {
        Err(error) => error,
        Ok(()) => std::future::pending().await,
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
