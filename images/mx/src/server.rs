//! The MX process: ports, what sessions share, the end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kit::admin::Condition;
use kit::lifecycle::Shutdown;
use kit::listener::{Accepted, Admission, BindError, ListenAt, Listener, ListenerConfig, Share};
use kit::process::Process;
use kit::rpc::directory::{BadReplica, DirectoryOptions};
use kit::rpc::server::ServeError;
use kit::rpc::{ChannelOptions, DirectoryClient, ShardChannels};
use kit::services::spool_admin_server::SpoolAdminServer;
use kit::tls::{Credentials, LoadError, PublicTls};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;
use wire::identity::Tier;
use wire::smtp::ForwardPath;

use crate::accept::LATEST;
use crate::body::BodyStore;
use crate::config::{ANSWER, Config, Timeouts};
use crate::connection;
use crate::deliver::{self, Courier, CourierOptions, SpoolCourier, WaitingRoom};
use crate::door::Door;
use crate::metrics::{Metrics, of_spool};
use crate::recipients::Recipients;
use crate::session::{Policy, Protocol, Resolved};
use crate::spool::{self, Spool, Trouble};

/// Why an MX cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The identity or the public certificate.
    #[error(transparent)]
    Tls(#[from] Box<LoadError>),
    /// The directory's replicas.
    #[error(transparent)]
    Directory(#[from] BadReplica),
    /// A port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// LMTP would be open to anyone.
    #[error("LMTP on {0} is not on loopback: set lmtp-client-certificates")]
    ExposedLmtp(ListenAt),
    /// The administrators' port, later.
    #[error(transparent)]
    Rpc(#[from] ServeError),
    /// The volume.
    #[error("the folder {path}: {source}")]
    Data {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The spool's log.
    #[error("the spool in {path}: {source}")]
    Spool {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: spool::OpenError,
    },
}

/// What all sessions share.
pub(crate) struct Server {
    pub(crate) policy: Arc<Policy>,
    pub(crate) timeouts: Arc<Timeouts>,
    pub(crate) public_tls: Option<PublicTls>,
    pub(crate) lmtp_tls: Option<Credentials>,
    pub(crate) directory: DirectoryClient,
    pub(crate) recipients: Arc<Recipients>,
    pub(crate) courier: Courier,
    pub(crate) waiting: WaitingRoom,
    pub(crate) bodies: Arc<BodyStore>,
    pub(crate) spool: Spool,
    /// Octets, in KiB, that may be on their way into the spool at once.
    pub(crate) spooling: Semaphore,
    /// After the final dot, until spooling is given up.
    pub(crate) latest: Duration,
    pub(crate) door: Door,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: Shutdown,
}

/// An MX whose ports are open and that does not yet serve.
pub struct Mx {
    server: Arc<Server>,
    credentials: Credentials,
    mail: Vec<(Protocol, Listener)>,
    rpc: Listener,
    ready: Condition,
}

/// Serves until the process ends, and every session is done.
pub async fn run(config: Config, process: Process) -> Result<(), Error> {
    config.identity_files().wait(&process.shutdown).await;
    Mx::bind(&config, &process).await?.serve().await
}

impl Mx {
    /// Reads certificates, opens the ports, and recovers the spool.
    pub async fn bind(config: &Config, process: &Process) -> Result<Self, Error> {
        if let Some(address) = config.exposed_lmtp() {
            return Err(Error::ExposedLmtp(address));
        }
        let ready = process.admin.readiness.condition("mx");
        let credentials =
            Credentials::load_for(Tier::Mx, config.identity_files()).map_err(Box::new)?;
        let mut mail = vec![(
            Protocol::Smtp,
            listen(config, Protocol::Smtp, config.smtp_listen)?,
        )];
        if let Some(address) = config.lmtp_listen {
            mail.push((Protocol::Lmtp, listen(config, Protocol::Lmtp, address)?));
        }
        if let Some(address) = config.smtp_proxied_listen {
            mail.push((Protocol::Smtp, listen_proxied(config, address)?));
        }
        let rpc = ListenerConfig::new("mx-rpc", "--rpc-listen", config.rpc_listen);
        let rpc = Listener::bind(rpc)?;
        let server = Server::open(config, &credentials, &process.shutdown).await?;
        process
            .admin
            .metrics
            .register(credentials.identity(), |registry| {
                server.metrics.register(registry);
                server.recipients.register(registry);
                registry.register_collector(of_spool(server.spool.clone()));
                mail.iter()
                    .for_each(|(_, listener)| listener.metrics().register(registry));
                rpc.metrics().register(registry);
                credentials.register(registry);
                if let Some(tls) = &server.public_tls {
                    tls.reloads().register("public", registry);
                }
            });
        Ok(Self {
            server: Arc::new(server),
            credentials,
            mail,
            rpc,
            ready,
        })
    }

    /// Where SMTP listens; the real port where 0 was asked for.
    pub fn smtp_addr(&self) -> Option<SocketAddr> {
        self.addr(Protocol::Smtp)
    }

    /// Where balancers connect that say whose each connection is.
    pub fn smtp_proxied_addr(&self) -> Option<SocketAddr> {
        let named = |listener: &Listener| listener.name() == SMTP_PROXIED;
        let mut mail = self.mail.iter().map(|(_, listener)| listener);
        mail.find(|listener| named(listener))
            .map(Listener::local_addr)
    }

    /// Where LMTP listens.
    pub fn lmtp_addr(&self) -> Option<SocketAddr> {
        self.addr(Protocol::Lmtp)
    }

    /// Where administrators reach the spool.
    pub fn rpc_addr(&self) -> SocketAddr {
        self.rpc.local_addr()
    }

    /// The spool.
    pub fn spool(&self) -> &Spool {
        &self.server.spool
    }

    fn addr(&self, wanted: Protocol) -> Option<SocketAddr> {
        let found = self.mail.iter().find(|(protocol, _)| *protocol == wanted);
        found.map(|(_, listener)| listener.local_addr())
    }

    /// Serves until the process is to end, sessions under way included.
    pub async fn serve(self) -> Result<(), Error> {
        let Self {
            server,
            credentials,
            mail,
            rpc,
            ready,
        } = self;
        let shutdown = server.shutdown.clone();
        let spooled = SpoolCourier::new(
            server.recipients.clone(),
            server.courier.clone(),
            server.timeouts.spool_attempt,
        );
        let spool = server.spool.clone();
        let runner = spool::runner::run(spool.clone(), Arc::new(spooled), shutdown.clone());
        shutdown.spawn("spool", runner);
        let admin = Routes::new(SpoolAdminServer::new(spool::admin::Service::new(
            spool,
            server.door.clone(),
        )));
        let rpc = kit::rpc::server::serve(rpc, &credentials, admin, shutdown.clone());
        let accepting = mail.into_iter().map(|(protocol, listener)| {
            let server = server.clone();
            listener.each(&shutdown, "mail sessions", move |accepted| {
                session(server.clone(), protocol, accepted)
            })
        });
        let following = deliver::follow(
            server.directory.clone(),
            server.courier.clone(),
            server.spool.clone(),
        );
        let _following = AbortOnDropHandle::new(tokio::spawn(following));
        let _telling = AbortOnDropHandle::new(tokio::spawn(tell(
            ready,
            server.spool.trouble(),
            server.door.watch(),
        )));
        let (served, _) = tokio::join!(rpc, join_all(accepting));
        // What was cut is named where the process ends.
        let _ = shutdown.drained().await;
        Ok(served?)
    }
}

/// Keeps the readiness up to date. Without its spool an MX still brings mail to every shard that
/// answers, so it stays ready, and says what is amiss. One that lets nobody in is not ready.
async fn tell(
    ready: Condition,
    mut trouble: watch::Receiver<Option<Trouble>>,
    mut cordoned: watch::Receiver<bool>,
) {
    loop {
        let now = (*cordoned.borrow_and_update(), *trouble.borrow_and_update());
        match now {
            (true, _) => ready.unmet("cordoned"),
            (false, None) => ready.met(),
            (false, Some(trouble)) => ready.met_but(trouble.to_string()),
        }
        let changed = tokio::select! {
            changed = trouble.changed() => changed,
            changed = cordoned.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

fn listen(config: &Config, protocol: Protocol, address: ListenAt) -> Result<Listener, BindError> {
    let flag = match protocol {
        Protocol::Smtp => "--smtp-listen",
        Protocol::Lmtp => "--lmtp-listen",
    };
    let listener = ListenerConfig::new(protocol.as_str(), flag, address);
    Listener::bind(bounded(config, listener))
}

/// The listener for balancers, in logs and metrics.
const SMTP_PROXIED: &str = "smtp-proxied";

/// SMTP from the balancers that say whose each connection is.
fn listen_proxied(config: &Config, address: ListenAt) -> Result<Listener, BindError> {
    let listener = ListenerConfig {
        proxied_from: Some(config.proxy_trusted.clone()),
        ..ListenerConfig::new(SMTP_PROXIED, "--smtp-proxied-listen", address)
    };
    Listener::bind(bounded(config, listener))
}

fn bounded(config: &Config, listener: ListenerConfig) -> ListenerConfig {
    ListenerConfig {
        max_connections: config.limits.max_connections,
        max_per_address: config.limits.max_per_address,
        share: Share::Inbound,
        ..listener
    }
}

/// One connection; refused ones are told why.
async fn session(server: Arc<Server>, protocol: Protocol, accepted: Accepted) {
    let Accepted {
        stream,
        peer,
        admission,
    } = accepted;
    match admission {
        Admission::Admitted(_permit) => admitted(server, protocol, stream, peer).await,
        // Whoever begins with TLS could not read our words.
        Admission::Refused(_) if protocol == Protocol::Lmtp && server.lmtp_tls.is_some() => {}
        Admission::Refused(refusal) => {
            let line = format!("421 4.3.2 {}\r\n", refusal.reason());
            refusal.say(stream, line.as_bytes()).await;
        }
    }
}

async fn admitted(server: Arc<Server>, protocol: Protocol, stream: TcpStream, peer: SocketAddr) {
    server.metrics.sessions.inc();
    let session = connection::serve(server.clone(), protocol, peer, stream);
    // It says good-bye itself, unless it is then busy with an answer that nobody reads.
    let timeouts = &server.timeouts;
    let longest = timeouts.session + timeouts.write + ANSWER;
    if tokio::time::timeout(longest, session).await.is_err() {
        tracing::debug!(%peer, "a session took too long");
    }
    server.metrics.sessions.dec();
}

impl Server {
    pub(crate) async fn open(
        config: &Config,
        credentials: &Credentials,
        shutdown: &Shutdown,
    ) -> Result<Self, Error> {
        credentials.watch(shutdown);
        let public_tls = match (&config.tls_cert, &config.tls_key) {
            (Some(cert), Some(key)) => Some(PublicTls::load(cert, key).map_err(Box::new)?),
            _ => None,
        };
        if let Some(tls) = &public_tls {
            tls.watch(shutdown);
        }
        let options = DirectoryOptions::default();
        let directory = DirectoryClient::of(config.replicas()?, credentials, options)?;
        directory.watch(shutdown);
        let recipients = Recipients::new(directory.clone(), config.limits.remembered);
        let recipients = Arc::new(recipients);
        let channels = ShardChannels::new(credentials.clone(), ChannelOptions::default());
        let options = CourierOptions {
            max_calls: config.limits.max_deliveries,
            max_follows: config.limits.max_follows,
        };
        let metrics = Metrics::default();
        Ok(Self {
            policy: Arc::new(policy(config)),
            timeouts: Arc::new(config.timeouts.clone()),
            public_tls,
            lmtp_tls: config.lmtp_client_certificates.then(|| credentials.clone()),
            directory,
            courier: Courier::new(recipients.clone(), channels, options),
            recipients,
            waiting: WaitingRoom::new(config.limits.max_connections, config.limits.body_memory),
            bodies: open_bodies(config)?,
            spool: open_spool(config).await?,
            spooling: Semaphore::new(SPOOLING_KIB),
            latest: LATEST,
            door: Door::new(metrics.sessions.clone()),
            metrics,
            shutdown: shutdown.clone(),
        })
    }

    /// Asks where recipients lead, and counts the answers. A remembered recipient's mail can only
    /// go to the spool, which LMTP does not use.
    pub(crate) async fn resolve(&self, protocol: Protocol, paths: &[ForwardPath]) -> Vec<Resolved> {
        let or_recall = protocol == Protocol::Smtp && self.spool.trouble().borrow().is_none();
        let answers = self.recipients.resolve(paths, or_recall).await;
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
}

/// Bodies are whole in memory while they are spooled: two of the largest messages, or thousands of
/// the usual ones.
const SPOOLING_KIB: usize = 160 << 10;

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
    let each = usize::try_from(limits.body_memory_each).unwrap_or(usize::MAX);
    let opened = BodyStore::open(&path, limits.body_memory, limits.body_disk, each);
    opened.map_err(|source| Error::Data { path, source })
}

/// Recovery reads the whole log, so it has a thread of its own.
async fn open_spool(config: &Config) -> Result<Spool, Error> {
    let (path, limits) = (config.data.join("spool"), config.spool.to_spool());
    let opening = tokio::task::spawn_blocking(move || {
        let disk = segments::RealDisk::open(&path);
        let disk = disk.map_err(|source| Error::Data {
            path: path.clone(),
            source,
        })?;
        let opened = Spool::open(Arc::new(disk), limits, spool::Clock::system());
        opened.map_err(|source| Error::Spool { path, source })
    });
    let path = config.data.clone();
    let broken = |error| Error::Data {
        path,
        source: std::io::Error::other(error),
    };
    opening.await.map_err(broken)?
}
