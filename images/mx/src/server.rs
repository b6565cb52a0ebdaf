//! The MX process: listeners, what sessions share, the end.

use std::net::SocketAddr;
use std::sync::Arc;

use kit::lifecycle::Shutdown;
use kit::listener::{Accepted, Admission, BindError, Listener, ListenerConfig};
use kit::rpc::directory::{BadReplica, DirectoryOptions};
use kit::rpc::{ChannelOptions, DirectoryClient, ShardChannels};
use kit::tls::{Credentials, LoadError, PublicTls};
use prometheus_client::registry::Registry;
use tokio::net::TcpStream;
use wire::identity::Tier;
use wire::smtp::ForwardPath;

use crate::body::BodyStore;
use crate::config::{BadConfig, Config, Timeouts};
use crate::connection;
use crate::deliver::{Courier, CourierOptions};
use crate::metrics::Metrics;
use crate::recipients::Recipients;
use crate::session::{Policy, Protocol, Resolved};

/// Why an MX cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] BadConfig),
    /// The identity or the public certificate.
    #[error(transparent)]
    Tls(#[from] Box<LoadError>),
    /// The directory's replicas.
    #[error(transparent)]
    Directory(#[from] BadReplica),
    /// A port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The volume.
    #[error("the data folder {path}: {source}")]
    Data {
        /// Which folder.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What all sessions share.
pub(crate) struct Server {
    pub(crate) policy: Arc<Policy>,
    pub(crate) timeouts: Arc<Timeouts>,
    pub(crate) public_tls: Option<PublicTls>,
    pub(crate) lmtp_tls: Option<Credentials>,
    pub(crate) recipients: Arc<Recipients>,
    pub(crate) courier: Courier,
    pub(crate) bodies: Arc<BodyStore>,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: Shutdown,
}

/// An MX whose ports are open and that does not yet serve.
pub struct Mx {
    server: Arc<Server>,
    listeners: Vec<(Protocol, Listener)>,
}

/// Serves until `shutdown` closes and every session is done.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), Error> {
    Mx::bind(&config, shutdown)?.serve().await;
    Ok(())
}

impl Mx {
    /// Checks the configuration, reads certificates, opens the volume and the ports.
    pub fn bind(config: &Config, shutdown: Shutdown) -> Result<Self, Error> {
        config.validate()?;
        let mut listeners = vec![(Protocol::Smtp, listen(config, Protocol::Smtp, config.smtp)?)];
        if let Some(address) = config.lmtp {
            listeners.push((Protocol::Lmtp, listen(config, Protocol::Lmtp, address)?));
        }
        let server = Arc::new(Server::open(config, shutdown)?);
        Ok(Self { server, listeners })
    }

    /// Where SMTP listens; the real port where 0 was asked for.
    pub fn smtp_addr(&self) -> Option<SocketAddr> {
        self.addr(Protocol::Smtp)
    }

    /// Where LMTP listens.
    pub fn lmtp_addr(&self) -> Option<SocketAddr> {
        self.addr(Protocol::Lmtp)
    }

    /// The process's counters, as `palomar_mx_…`.
    pub fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("palomar_mx");
        self.server.metrics.register(&mut registry);
        for (_, listener) in &self.listeners {
            listener.metrics().register(&mut registry);
        }
        registry
    }

    fn addr(&self, wanted: Protocol) -> Option<SocketAddr> {
        let found = self
            .listeners
            .iter()
            .find(|(protocol, _)| *protocol == wanted);
        found.map(|(_, listener)| listener.local_addr())
    }

    /// Serves until the end of the process, drain included.
    pub async fn serve(self) {
        let accepting = self
            .listeners
            .into_iter()
            .map(|(protocol, listener)| accept(self.server.clone(), protocol, listener));
        futures::future::join_all(accepting).await;
        let drained = self.server.shutdown.drained(kit::lifecycle::DRAIN).await;
        if let Err(left) = drained {
            tracing::warn!(%left, "sessions are cut off");
        }
    }
}

fn listen(config: &Config, protocol: Protocol, address: SocketAddr) -> Result<Listener, BindError> {
    let flag = match protocol {
        Protocol::Smtp => "--smtp",
        Protocol::Lmtp => "--lmtp",
    };
    Listener::bind(ListenerConfig {
        max_connections: config.limits.max_connections,
        max_per_address: config.limits.max_per_address,
        ..ListenerConfig::new(protocol.as_str(), flag, address)
    })
}

async fn accept(server: Arc<Server>, protocol: Protocol, listener: Listener) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = server.shutdown.closing() => return,
        };
        let Accepted {
            stream,
            peer,
            admission,
        } = accepted;
        let guard = server.shutdown.guard("mail sessions");
        let server = server.clone();
        tokio::spawn(async move {
            match admission {
                Admission::Admitted(permit) => {
                    admitted(server, protocol, stream, peer).await;
                    drop(permit);
                }
                Admission::Refused(refusal) => {
                    let line = format!("421 4.3.2 {}\r\n", refusal.reason());
                    refusal.say(stream, line.as_bytes()).await;
                }
            }
            drop(guard);
        });
    }
}

async fn admitted(server: Arc<Server>, protocol: Protocol, stream: TcpStream, peer: SocketAddr) {
    server.metrics.sessions.inc();
    let session = connection::serve(server.clone(), protocol, peer, stream);
    if tokio::time::timeout(server.timeouts.session, session)
        .await
        .is_err()
    {
        tracing::debug!(%peer, "a session took too long");
    }
    server.metrics.sessions.dec();
}

impl Server {
    fn open(config: &Config, shutdown: Shutdown) -> Result<Self, Error> {
        let credentials = Credentials::load_for(Tier::Mx, &config.identity).map_err(Box::new)?;
        credentials.watch(&shutdown);
        let public_tls = match &config.tls {
            Some(files) => Some(PublicTls::load(&files.cert, &files.key).map_err(Box::new)?),
            None => None,
        };
        if let Some(tls) = &public_tls {
            tls.watch(&shutdown);
        }
        let directory =
            DirectoryClient::new(&config.directory, &credentials, DirectoryOptions::default())?;
        let recipients = Arc::new(Recipients::new(directory, config.limits.remembered));
        let channels = ShardChannels::new(credentials.clone(), ChannelOptions::default());
        let options = CourierOptions {
            max_calls: config.limits.max_deliveries,
            max_follows: config.limits.max_follows,
        };
        Ok(Self {
            policy: Arc::new(policy(config)),
            timeouts: Arc::new(config.timeouts.clone()),
            public_tls,
            lmtp_tls: config.lmtp_client_certificates.then_some(credentials),
            courier: Courier::new(recipients.clone(), channels, options),
            recipients,
            bodies: open_bodies(config)?,
            metrics: Metrics::new(),
            shutdown,
        })
    }

    /// Asks where recipients lead, and counts the answers.
    pub(crate) async fn resolve(&self, protocol: Protocol, paths: &[ForwardPath]) -> Vec<Resolved> {
        let answers = self
            .recipients
            .resolve(paths, self.may_recall(protocol))
            .await;
        for answer in &answers {
            self.metrics.recipient(match answer {
                Resolved::Known(_) => "known",
                Resolved::Unknown => "unknown",
                Resolved::Foreign => "foreign",
                Resolved::OverQuota => "over_quota",
                Resolved::Unsure => "unsure",
            });
        }
        answers
    }

    /// A remembered recipient's mail can only go to the spool, which LMTP does not use.
    fn may_recall(&self, _protocol: Protocol) -> bool {
        false
    }
}

fn policy(config: &Config) -> Policy {
    Policy {
        hostname: config.hostname.clone(),
        max_message_size: config.limits.max_message_size,
        max_recipients: config.limits.max_recipients,
        max_unknown: config.limits.max_unknown,
        max_errors: config.limits.max_errors,
        max_received: config.limits.max_received,
    }
}

fn open_bodies(config: &Config) -> Result<Arc<BodyStore>, Error> {
    let path = config.data.join("bodies");
    let limits = &config.limits;
    let opened = BodyStore::open(
        &path,
        limits.body_memory,
        limits.body_disk,
        limits.body_memory_each,
    );
    opened.map_err(|source| Error::Data { path, source })
}
