//! The MX as a process: its ports, its readiness, its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::join_all;
use kit::admin::Condition;
use kit::config::Program;
use kit::frame::{self, Frame, Tier};
use kit::listener::{Accepted, Admission, ListenAt, Listener, ListenerConfig, Share};
use kit::services::spool_admin_server::SpoolAdminServer;
use kit::tls::IdentityFiles;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;
use wire::identity;

use crate::config::{ANSWER, Config};
use crate::connection;
use crate::deliver::{self, SpoolCourier};
use crate::metrics::of_spool;
use crate::session::Protocol;
use crate::shared::Server;
use crate::spool::{self, Spool, Trouble};

/// Why an MX cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A certificate, a port, the directory's replicas, the administrators' port.
    #[error(transparent)]
    Frame(#[from] frame::Error),
    /// LMTP would be open to anyone.
    #[error("LMTP on {0} is not on loopback: set lmtp-client-ca and tls")]
    ExposedLmtp(ListenAt),
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

/// An MX whose ports are open and that does not yet serve.
pub struct Mx {
    server: Arc<Server>,
    mail: Vec<(Protocol, Listener)>,
    rpc: Listener,
}

impl Tier for Mx {
    type Config = Config;
    type Error = Error;

    const TIER: identity::Tier = identity::Tier::Mx;
    const PROGRAM: Program = Program {
        name: "buzonera-mx",
        about: "Takes mail in by SMTP and LMTP and delivers it to the owning shards",
        version: env!("CARGO_PKG_VERSION"),
    };

    fn identity(config: &Config) -> IdentityFiles {
        config.identity_files()
    }

    /// Opens the ports, and recovers the spool.
    async fn bind(config: Config, frame: &Frame) -> Result<Self, Error> {
        if let Some(address) = config.exposed_lmtp() {
            return Err(Error::ExposedLmtp(address));
        }
        let smtp = listen(&config, Protocol::Smtp, config.smtp_listen);
        let lmtp = config.lmtp_listen;
        let lmtp = lmtp.map(|address| listen(&config, Protocol::Lmtp, address));
        let mut mail = Vec::new();
        let proxied = config.smtp_proxied_listen;
        let proxied = proxied.map(|address| (Protocol::Smtp, listen_proxied(&config, address)));
        for (protocol, listener) in [smtp].into_iter().chain(lmtp).chain(proxied) {
            mail.push((protocol, frame.listen(listener)?));
        }
        let rpc = ListenerConfig::new("mx-rpc", "--rpc-listen", config.rpc_listen);
        let mx = Self {
            rpc: frame.listen(rpc)?,
            server: Arc::new(Server::open(&config, frame).await?),
            mail,
        };
        frame.register(|registry| {
            mx.server.metrics.register(registry);
            registry.register_collector(of_spool(mx.server.spool.clone()));
            let ports = mx.mail.iter().map(|(_, listener)| listener);
            ports
                .chain([&mx.rpc])
                .for_each(|listener| listener.metrics().register(registry));
            if let Some(tls) = &mx.server.public_tls {
                tls.reloads().register("public", registry);
            }
        });
        Ok(mx)
    }

    async fn serve(self, frame: Frame) -> Result<(), Error> {
        let Self { server, mail, rpc } = self;
        let (shutdown, spool) = (&frame.shutdown, &server.spool);
        let spooled = SpoolCourier::new(
            server.recipients.clone(),
            server.courier.clone(),
            server.timeouts.spool_attempt,
        );
        let runner = spool::runner::run(spool.clone(), Arc::new(spooled), shutdown.clone());
        shutdown.spawn("spool", runner);
        let admin = spool::admin::Service::new(spool.clone(), server.door.clone());
        let rpc = frame.serve_rpc(rpc, Routes::new(SpoolAdminServer::new(admin)));
        let accepting = mail.into_iter().map(|(protocol, listener)| {
            let server = server.clone();
            listener.each(shutdown, "mail sessions", move |accepted| {
                session(server.clone(), protocol, accepted)
            })
        });
        let following = deliver::follow(
            server.directory.clone(),
            server.courier.clone(),
            spool.clone(),
        );
        let _following = AbortOnDropHandle::new(tokio::spawn(following));
        let serving = async {
            let (served, _) = tokio::join!(rpc, join_all(accepting));
            // What was cut is named where the process ends.
            let _ = shutdown.drained().await;
            served
        };
        tokio::select! {
            served = serving => Ok(served?),
            never = tell(&frame.ready, spool.trouble(), server.door.watch()) => match never {},
        }
    }
}

impl Mx {
    /// Where SMTP listens; the real port where 0 was asked for.
    pub fn smtp_addr(&self) -> Option<SocketAddr> {
        self.addr(Protocol::Smtp)
    }

    /// Where balancers connect that say whose each connection is.
    pub fn smtp_proxied_addr(&self) -> Option<SocketAddr> {
        let named = |listener: &&Listener| listener.name() == SMTP_PROXIED;
        let mut mail = self.mail.iter().map(|(_, listener)| listener);
        mail.find(named).map(Listener::local_addr)
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
}

/// Keeps the readiness up to date. Without its spool an MX still brings mail to every shard that
/// answers, so it stays ready, and says what is amiss. One that lets nobody in is not ready.
async fn tell(
    ready: &Condition,
    mut trouble: watch::Receiver<Option<Trouble>>,
    mut cordoned: watch::Receiver<bool>,
) -> Infallible {
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
            std::future::pending::<()>().await;
        }
    }
}

fn listen(config: &Config, protocol: Protocol, address: ListenAt) -> (Protocol, ListenerConfig) {
    let flag = match protocol {
        Protocol::Smtp => "--smtp-listen",
        Protocol::Lmtp => "--lmtp-listen",
    };
    let listener = ListenerConfig::new(protocol.as_str(), flag, address);
    (protocol, bounded(config, listener))
}

/// The listener for balancers, in logs and metrics.
const SMTP_PROXIED: &str = "smtp-proxied";

/// SMTP from the balancers that say whose each connection is.
fn listen_proxied(config: &Config, address: ListenAt) -> ListenerConfig {
    let listener = ListenerConfig {
        proxied_from: Some(config.proxy_trusted.clone()),
        ..ListenerConfig::new(SMTP_PROXIED, "--smtp-proxied-listen", address)
    };
    bounded(config, listener)
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
