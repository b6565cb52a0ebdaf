//! The proxy as a process: its ports and what all clients share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;
use kit::config::Program;
use kit::frame::{Error, Frame, Tier};
use kit::listener::{Listener, ListenerConfig, Share};
use kit::rpc::DirectoryClient;
use kit::tls::{IdentityFiles, PublicTls};
use tokio_rustls::TlsAcceptor;
use wire::identity;

use crate::config::{Config, Limits};
use crate::login::Gate;
use crate::metrics::Metrics;
use crate::pop3::{self, Entry, Front};
use crate::pump;
use crate::shard::Shards;
use crate::throttle::{Rules, Throttle};
use crate::users::Users;

/// A proxy with its ports open.
pub struct Proxy {
    limits: Limits,
    throttle: Rules,
    public: PublicTls,
    directory: DirectoryClient,
    metrics: Metrics,
    pop3: Listener,
    pop3s: Listener,
    /// Behind balancers that say whose each connection is.
    proxied: Vec<(Entry, Listener)>,
}

impl Tier for Proxy {
    type Config = Config;
    type Error = Error;

    const TIER: identity::Tier = identity::Tier::Proxy;
    const PROGRAM: Program = Program {
        name: "buzonera-proxy",
        about: "Logs mail clients in by POP3 and connects them to the shards that have their mail",
        version: env!("CARGO_PKG_VERSION"),
    };

    fn identity(config: &Config) -> IdentityFiles {
        config.identity_files()
    }

    /// Readiness asks for nothing but open ports: a directory that is away makes logins fail for
    /// the moment, not the proxy vanish.
    async fn bind(config: Config, frame: &Frame) -> Result<Self, Error> {
        let directory = frame.directory(config.replicas()?)?;
        let limits = config.limits;
        let listen = |name, flag, address, proxied_from| {
            frame.listen(ListenerConfig {
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
                proxied.push((entry, listen(name, flag, address, trusted)?));
            }
        }
        let proxy = Self {
            public: frame.public_tls(&config.tls)?,
            directory,
            pop3: listen("pop3", "--pop3-listen", config.pop3_listen, None)?,
            pop3s: listen("pop3s", "--pop3s-listen", config.pop3s_listen, None)?,
            proxied,
            metrics: Metrics::default(),
            throttle: config.throttle,
            limits,
        };
        frame.register(|registry| {
            proxy.metrics.register(registry);
            proxy.pop3.metrics().register(registry);
            proxy.pop3s.metrics().register(registry);
            for (_, listener) in &proxy.proxied {
                listener.metrics().register(registry);
            }
            proxy.public.reloads().register("public", registry);
        });
        frame.ready.met();
        Ok(proxy)
    }

    async fn serve(self, frame: Frame) -> Result<(), Error> {
        let shutdown = frame.shutdown.clone();
        let (front, listeners) = self.into_front(&frame);
        let accepting = listeners.into_iter().map(|(entry, listener)| {
            let front = front.clone();
            listener.each(&shutdown, "POP3 clients", move |accepted| {
                pop3::serve(front.clone(), entry, accepted)
            })
        });
        join_all(accepting).await;
        // What was cut is named where the process ends.
        let _ = shutdown.drained().await;
        Ok(())
    }
}

impl Proxy {
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

    fn into_front(self, frame: &Frame) -> (Arc<Front>, Vec<(Entry, Listener)>) {
        let limits = self.limits;
        let front = Front {
            gate: Gate::new(
                Throttle::new(self.throttle, Instant::now()),
                self.directory,
                Shards::new(
                    frame.credentials.clone(),
                    limits.handover,
                    limits.keep_alive,
                ),
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
            shutdown: frame.shutdown.clone(),
        };
        let mut listeners = self.proxied;
        listeners.push((Entry::StartTls, self.pop3));
        listeners.push((Entry::Implicit, self.pop3s));
        (Arc::new(front), listeners)
    }
}
