//! What all sessions of an MX share.

use std::sync::Arc;
use std::time::Duration;

use kit::frame::{self, Frame};
use kit::lifecycle::Shutdown;
use kit::rpc::{ChannelOptions, DirectoryClient, ShardChannels};
use kit::tls::{ClientCa, PublicTls};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use wire::smtp::ForwardPath;

use crate::accept::LATEST;
use crate::body::BodyStore;
use crate::config::{Config, Timeouts};
use crate::deliver::{Courier, CourierOptions, WaitingRoom};
use crate::door::Door;
use crate::metrics::Metrics;
use crate::recipients::Recipients;
use crate::session::{Policy, Protocol, Resolved};
use crate::spool::{self, Spool};
use crate::tier::Error;

/// What all sessions share.
pub(crate) struct Server {
    pub(crate) policy: Arc<Policy>,
    pub(crate) timeouts: Arc<Timeouts>,
    pub(crate) public_tls: Option<PublicTls>,
    /// How LMTP is encrypted, if it is.
    pub(crate) lmtp_tls: Option<LmtpTls>,
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

impl Server {
    pub(crate) async fn open(config: &Config, frame: &Frame) -> Result<Self, Error> {
        let folder = config.tls.as_deref();
        let public_tls = folder.map(|folder| frame.public_tls(folder)).transpose()?;
        let clients = config.lmtp_client_ca.as_deref();
        let clients = clients.map(|file| frame.client_ca("lmtp_client_ca", file));
        let lmtp_tls = public_tls.clone().zip(clients);
        let lmtp_tls = lmtp_tls.map(|(public, clients)| LmtpTls { public, clients });
        let credentials = &frame.credentials;
        let directory = frame.directory(config.replicas().map_err(frame::Error::from)?)?;
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
            lmtp_tls,
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
            shutdown: frame.shutdown.clone(),
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

/// What LMTP's clients from other machines are shown, and whose certificates they show.
pub(crate) struct LmtpTls {
    public: PublicTls,
    clients: ClientCa,
}

impl LmtpTls {
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.public.server_config_for(&self.clients))
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
    let (path, limits) = (config.data.join("spool"), config.spool.clone());
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
