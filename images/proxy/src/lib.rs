//! POP3 in front: authenticate, route, then pump bytes and parse nothing more.
//!
//! [`Proxy::bind`] opens the ports, [`Proxy::serve`] works until it is asked to stop. Each client
//! is one task: `pop3::machine` says what its lines mean, `login` decides, `shard` hands over,
//! `pump` does the rest.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;
use kit::lifecycle::Shutdown;
use kit::listener::{BindError, Listener, ListenerConfig, Share};
use kit::process::Process;
use kit::rpc::DirectoryClient;
use kit::rpc::directory::{BadReplica, DirectoryOptions};
use kit::tls::{Credentials, LoadError, PublicTls};
use prometheus_client::registry::Registry;
use tokio_rustls::TlsAcceptor;
use wire::identity::Tier;

mod config;
mod login;
mod metrics;
mod pop3;
mod pump;
mod shard;
pub mod throttle;
mod users;

pub use config::{Config, Limits};

use login::Gate;
use metrics::Metrics;
use pop3::{Entry, Front};
use shard::Shards;
use throttle::{Rules, Throttle};
use users::Users;

/// Feeds any octets to the parsers and the machine of this crate.
pub fn fuzz(data: &[u8]) {
    pop3::fuzz(data);
}

/// Why a proxy does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A certificate or key.
    #[error(transparent)]
    Load(#[from] Box<LoadError>),
    /// A port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The list of directory replicas.
    #[error(transparent)]
    Directory(#[from] BadReplica),
}

/// A proxy with its ports open.
pub struct Proxy {
    limits: Limits,
    throttle: Rules,
    credentials: Credentials,
    public: PublicTls,
    directory: DirectoryClient,
    metrics: Metrics,
    pop3: Listener,
    pop3s: Listener,
    /// Behind balancers that say whose each connection is.
    proxied: Vec<(Entry, Listener)>,
}

/// Opens the ports and serves until the process is to end and the sessions are done. Readiness
/// asks for nothing but open ports: a directory that is away makes logins fail for the moment, not
/// the proxy vanish.
pub async fn run(config: Config, process: Process) -> Result<(), Error> {
    let ready = process.admin.readiness.condition("proxy");
    config.identity_files().wait(&process.shutdown).await;
    let proxy = Proxy::bind(config)?;
    let identity = proxy.credentials.identity();
    process
        .admin
        .metrics
        .register(identity, |registry| proxy.register(registry));
    ready.met();
    proxy.serve(process.shutdown).await;
    Ok(())
}

impl Proxy {
    /// Reads certificates and opens the ports.
    pub fn bind(config: Config) -> Result<Self, Error> {
        let credentials =
            Credentials::load_for(Tier::Proxy, config.identity_files()).map_err(Box::new)?;
        let public = PublicTls::load(&config.tls_cert, &config.tls_key).map_err(Box::new)?;
        let options = DirectoryOptions::default();
        let directory = DirectoryClient::of(config.replicas()?, &credentials, options)?;
        let limits = config.limits;
        let bind = |name, flag, address, proxied_from| {
            Listener::bind(ListenerConfig {
                proxied_from,
                max_connections: limits.max_connections,
                max_per_address: limits.max_per_address,
                share: Share::Readers,
                keep_alive: limits.keep_alive,
                ..ListenerConfig::new(name, flag, address)
            })
        };
        let mut proxied = Vec::new();
        for (entry, name, flag, address) in [
            (
                Entry::StartTls,
                "pop3-proxied",
                "--pop3-proxied-listen",
                config.pop3_proxied_listen,
            ),
            (
                Entry::Implicit,
                "pop3s-proxied",
                "--pop3s-proxied-listen",
                config.pop3s_proxied_listen,
            ),
        ] {
            if let Some(address) = address {
                let trusted = Some(config.proxy_trusted.clone());
                proxied.push((entry, bind(name, flag, address, trusted)?));
            }
        }
        Ok(Self {
            pop3: bind("pop3", "--pop3-listen", config.pop3_listen, None)?,
            pop3s: bind("pop3s", "--pop3s-listen", config.pop3s_listen, None)?,
            proxied,
            metrics: Metrics::default(),
            credentials,
            public,
            directory,
            limits,
            throttle: config.throttle,
        })
    }

    /// Where clients say STLS.
    pub fn pop3_addr(&self) -> SocketAddr {
        self.pop3.local_addr()
    }

    /// Where clients connect by TLS.
    pub fn pop3s_addr(&self) -> SocketAddr {
        self.pop3s.local_addr()
    }

    /// Where balancers connect that say whose each connection is, in the order of the settings.
    pub fn proxied_addrs(&self) -> Vec<SocketAddr> {
        let listeners = self.proxied.iter();
        listeners
            .map(|(_, listener)| listener.local_addr())
            .collect()
    }

    /// Adds its counters; `registry` gives them the prefix `buzonera_proxy_`.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
        self.pop3.metrics().register(registry);
        self.pop3s.metrics().register(registry);
        for (_, listener) in &self.proxied {
            listener.metrics().register(registry);
        }
        self.credentials.register(registry);
        self.directory.register(registry);
        self.public.reloads().register("public", registry);
    }

    /// Serves until `shutdown` closes and the sessions are done or cut.
    pub async fn serve(self, shutdown: Shutdown) {
        self.credentials.watch(&shutdown);
        self.public.watch(&shutdown);
        self.directory.watch(&shutdown);
        let (front, listeners) = self.into_front(shutdown.clone());
        let accepting = listeners.into_iter().map(|(entry, listener)| {
            let front = front.clone();
            listener.each(&shutdown, "POP3 clients", move |accepted| {
                pop3::serve(front.clone(), entry, accepted)
            })
        });
        join_all(accepting).await;
        // What was cut is named where the process ends.
        let _ = shutdown.drained().await;
    }

    fn into_front(self, shutdown: Shutdown) -> (Arc<Front>, Vec<(Entry, Listener)>) {
        let limits = self.limits;
        let front = Front {
            gate: Gate::new(
                Throttle::new(self.throttle, Instant::now()),
                self.directory,
                Shards::new(self.credentials, limits.handover, limits.keep_alive),
                Users::new(limits.max_per_user),
                self.metrics.clone(),
            ),
            tls: TlsAcceptor::from(self.public.server_config()),
            limits: pop3::Limits {
                login: limits.login,
                max_failed: limits.max_failed_logins,
                pump: pump::Limits {
                    idle: limits.idle,
                    write: limits.write,
                },
            },
            metrics: self.metrics,
            shutdown,
        };
        let mut listeners = self.proxied;
        listeners.push((Entry::StartTls, self.pop3));
        listeners.push((Entry::Implicit, self.pop3s));
        (Arc::new(front), listeners)
    }
}
