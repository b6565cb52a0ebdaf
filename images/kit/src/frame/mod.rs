//! What every tier has in common, so that each is the same house.
//!
//! ```text
//! main.rs   frame::main::<T>()
//!              │  settings, logs, signals, admin port       (process, lifecycle, admin)
//!              ▼
//!           Frame { credentials, metrics, ready, shutdown }
//!              │  T::bind: locks, certificates, ports; T::serve: until it is cut
//!              ▼
//!           listeners ──► access: who may call what ──► the tier's own rooms
//! ```

use std::ops::Deref;
use std::path::Path;
use std::process::ExitCode;

use prometheus_client::registry::Registry;
use tonic::service::Routes;
use wire::identity::{self, Identity};

use crate::admin::{Admin, Condition, Metrics};
use crate::config::{Program, Settings};
use crate::lifecycle::Shutdown;
use crate::listener::{Listener, ListenerConfig};
use crate::process::{self, Process};
use crate::rpc::directory::DirectoryOptions;
use crate::rpc::{DirectoryClient, ReplicaList, server};
use crate::tls::{BundleFile, ClientCa, Credentials, IdentityFiles, PublicTls};

pub mod access;
mod error;

pub use error::Error;

/// A process of the platform, or a part of `buzonera local`.
pub trait Tier: Sized + Send + 'static {
    /// Its settings.
    type Config: Settings + Send + 'static;
    /// Why it does not start, or ends.
    type Error: std::error::Error + From<Error> + Send + 'static;

    /// What its certificate must say.
    const TIER: identity::Tier;
    /// Its program.
    const PROGRAM: Program;

    /// Its certificate and key.
    fn identity(config: &Self::Config) -> IdentityFiles;

    /// Locks, reads certificates, opens ports, registers metrics.
    fn bind(
        config: Self::Config,
        frame: &Frame,
    ) -> impl Future<Output = Result<Self, Self::Error>> + Send;

    /// Works until the shutdown closes and its work is done or cut, or until it has to end.
    fn serve(self, frame: Frame) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// What a tier is given beside its own settings.
#[derive(Debug)]
pub struct Frame {
    /// Who it is.
    pub credentials: Credentials,
    /// Where it registers what it counts; [`Self::register`] does.
    pub metrics: Metrics,
    /// Whether it is ready. None of it may be that another tier answers.
    pub ready: Condition,
    /// When it ends.
    pub shutdown: Shutdown,
}

/// The whole of a tier's `main`.
pub fn main<T: Tier>() -> ExitCode {
    process::main(&T::PROGRAM, async |config, process: Process| {
        let bound = bind::<T>(config, &process.admin, &process.shutdown).await?;
        bound.serve().await
    })
}

/// A tier whose ports are open and that does not yet serve.
#[derive(Debug)]
pub struct Bound<T> {
    tier: T,
    frame: Frame,
}

/// Opens a tier; its identity is waited for.
pub async fn bind<T: Tier>(
    config: T::Config,
    admin: &Admin,
    shutdown: &Shutdown,
) -> Result<Bound<T>, T::Error> {
    let identity = T::identity(&config);
    identity.wait(shutdown).await;
    let frame = Frame::new::<T>(identity, admin, shutdown)?;
    let tier = T::bind(config, &frame).await?;
    Ok(Bound { tier, frame })
}

impl<T: Tier> Bound<T> {
    /// A tier that was opened by itself.
    pub fn new(tier: T, frame: Frame) -> Self {
        Self { tier, frame }
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        self.frame.credentials.identity()
    }

    /// See [`Tier::serve`].
    pub async fn serve(self) -> Result<(), T::Error> {
        self.tier.serve(self.frame).await
    }
}

impl<T> Deref for Bound<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.tier
    }
}

impl Frame {
    /// Reads the identity, and follows its renewals.
    pub fn new<T: Tier>(
        identity: impl Into<IdentityFiles>,
        admin: &Admin,
        shutdown: &Shutdown,
    ) -> Result<Self, Error> {
        let ready = admin.readiness.condition(T::TIER.to_string());
        let credentials = Credentials::load_for(T::TIER, identity).map_err(Box::new)?;
        credentials.watch(shutdown);
        Ok(Self {
            credentials,
            metrics: admin.metrics.clone(),
            ready,
            shutdown: shutdown.clone(),
        })
    }

    /// Adds the tier's counters, with the prefix `buzonera_TIER_`.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        let identity = self.credentials.identity();
        self.metrics.register(identity, |registry| {
            self.credentials.register(registry);
            register(registry);
        });
    }

    /// Opens a port.
    pub fn listen(&self, config: ListenerConfig) -> Result<Listener, Error> {
        Ok(Listener::bind(config)?)
    }

    /// The directory, by any of its replicas; changes of their list are followed.
    pub fn directory(&self, list: ReplicaList) -> Result<DirectoryClient, Error> {
        let options = DirectoryOptions::default();
        let directory = DirectoryClient::of(list, &self.credentials, options)?;
        directory.watch(&self.shutdown);
        let identity = self.credentials.identity();
        self.metrics
            .register(identity, |registry| directory.register(registry));
        Ok(directory)
    }

    /// The certificates of a folder that mail clients see; their renewals are followed.
    pub fn public_tls(&self, folder: &Path) -> Result<PublicTls, Error> {
        let tls = PublicTls::load(folder).map_err(Box::new)?;
        tls.watch(&self.shutdown);
        Ok(tls)
    }

    /// The CA of clients from outside; changes of its file are followed, and counted with the prefix
    /// `name`.
    pub fn client_ca(&self, name: &'static str, file: &Path) -> ClientCa {
        let clients = ClientCa::open(file);
        clients.watch(&self.shutdown);
        let identity = self.credentials.identity();
        self.metrics
            .register(identity, |registry| clients.register(name, registry));
        clients
    }

    /// A CA bundle that is another's than the identity's: which one is in use is a gauge with the
    /// prefix `name`.
    pub fn follow_bundle(&self, name: &'static str, file: &Path) -> Result<BundleFile, Error> {
        let bundle = BundleFile::load(file).map_err(Box::new)?;
        bundle.watch(&self.shutdown);
        let identity = self.credentials.identity();
        self.metrics
            .register(identity, |registry| bundle.register(name, registry));
        Ok(bundle)
    }

    /// Serves other tiers and administrators; see [`server::serve`].
    pub async fn serve_rpc(&self, listener: Listener, routes: Routes) -> Result<(), Error> {
        let shutdown = self.shutdown.clone();
        Ok(server::serve(listener, &self.credentials, routes, shutdown).await?)
    }
}
