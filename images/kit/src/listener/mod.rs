//! Capped listeners: every connection is admitted, politely refused, or dropped.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep;

mod admission;
mod at;
mod descriptors;
mod metrics;
mod network;
mod proxied;
mod refusal;

pub use admission::{Admission, Permit, Reason};
pub use at::{BadListenAt, ListenAt};
pub use descriptors::Share;
pub use metrics::ListenerMetrics;
pub use network::{BadNetwork, Network};
pub use refusal::Refusal;

use admission::Doors;
use descriptors::Descriptors;
use proxied::Headers;

use crate::lifecycle::Shutdown;

/// Feeds any text to the parsers of this room's settings.
pub(crate) fn fuzz(text: &str) {
    at::fuzz(text);
    network::fuzz(text);
}

/// How a listener is bound and bounded.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// For logs and metrics, for example "smtp".
    pub name: &'static str,
    /// The flag that sets the address, named when the port is busy, for example "--smtp-listen".
    pub flag: &'static str,
    /// Where to listen.
    pub address: ListenAt,
    /// Connections at the same time.
    pub max_connections: usize,
    /// Connections at the same time from one client address (an IPv6 client is its /64).
    pub max_per_address: usize,
    /// Whom it serves: how much of the process's descriptors its connections may take.
    pub share: Share,
    /// How a dead peer is noticed.
    pub keep_alive: KeepAlive,
    /// The networks of the balancers that say by a header whose each connection is; all others are
    /// dropped. `None`: connections come without one.
    pub proxied_from: Option<Vec<Network>>,
}

impl ListenerConfig {
    /// A listener for other tiers, with the default bounds.
    pub fn new(name: &'static str, flag: &'static str, address: impl Into<ListenAt>) -> Self {
        Self {
            name,
            flag,
            address: address.into(),
            max_connections: MAX_CONNECTIONS,
            max_per_address: MAX_INSIDE_PER_ADDRESS,
            share: Share::Inside,
            keep_alive: KeepAlive::default(),
            proxied_from: None,
        }
    }
}

/// Some ten kilobytes each, TLS state included: 100 MB for a full house.
pub const MAX_CONNECTIONS: usize = 10_000;

/// A large office behind one address, and still a hundredth of a full house.
pub const MAX_PER_ADDRESS: usize = 100;

/// Inside, all processes of a machine may seem to be one client: an IPv6 /64 is a node's whole range
/// of pods. Every one of them shows a certificate; less than half of a full house stays for others.
const MAX_INSIDE_PER_ADDRESS: usize = 4096;

/// Connections that the kernel holds until we accept them; Linux caps it at `somaxconn`, 4096.
const BACKLOG: u32 = 4096;

/// When a silent peer is taken for dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// Silence before the first probe.
    pub idle: Duration,
    /// Between probes.
    pub interval: Duration,
    /// Unanswered probes until the connection is dead.
    pub probes: u32,
    /// Sent but not acknowledged for this long: dead (TCP_USER_TIMEOUT, RFC 5482).
    pub user_timeout: Duration,
}

impl Default for KeepAlive {
    /// 20 s and three probes 10 s apart: a dead peer loses its lock within 60 s, as POP3 promises.
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(20),
            interval: Duration::from_secs(10),
            probes: 3,
            user_timeout: Duration::from_secs(50),
        }
    }
}

impl KeepAlive {
    /// Sets it on a connection, with TCP_NODELAY: protocols here write whole replies.
    pub fn apply(&self, stream: &TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(stream);
        let keep_alive = TcpKeepalive::new()
            .with_time(self.idle)
            .with_interval(self.interval)
            .with_retries(self.probes);
        socket.set_tcp_keepalive(&keep_alive)?;
        socket.set_tcp_user_timeout(Some(self.user_timeout))
    }
}

/// A listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for {name} on {address}: {source}; choose another address with {flag}")]
pub struct BindError {
    /// The listener.
    pub name: &'static str,
    /// Where it was to listen.
    pub address: ListenAt,
    /// The flag that sets the address.
    pub flag: &'static str,
    /// Why.
    pub source: std::io::Error,
}

/// An open port with its bounds. Drop it to close the port; connections live on.
#[derive(Debug)]
pub struct Listener {
    name: &'static str,
    socket: TcpListener,
    local: SocketAddr,
    keep_alive: KeepAlive,
    doors: Arc<Doors>,
    headers: Option<Headers>,
}

/// One connection, admitted or to be refused.
#[derive(Debug)]
pub struct Accepted {
    /// The connection, with TCP_NODELAY, keep-alive and TCP_USER_TIMEOUT set.
    pub stream: TcpStream,
    /// The client's address, as its balancer told if there is one; an IPv4 client of an IPv6 socket
    /// shows as IPv4.
    pub peer: SocketAddr,
    /// Keep it as long as the connection.
    pub admission: Admission,
}

impl Listener {
    /// Opens the port.
    pub fn bind(config: ListenerConfig) -> Result<Self, BindError> {
        let failed = |source| BindError {
            name: config.name,
            address: config.address,
            flag: config.flag,
            source,
        };
        let socket = config.address.open(listen).map_err(failed)?;
        let local = socket.local_addr().map_err(failed)?;
        Ok(Self {
            name: config.name,
            socket,
            local,
            keep_alive: config.keep_alive,
            doors: Doors::new(
                config.max_connections,
                config.max_per_address,
                config.share,
                Descriptors::of_process(),
            ),
            headers: config
                .proxied_from
                .map(|trusted| Headers::new(config.name, trusted)),
        })
    }

    /// Where it listens; the real port where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Its name in logs and metrics.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its counters, to be registered with the tier's metrics.
    pub fn metrics(&self) -> ListenerMetrics {
        let proxied = self.headers.as_ref().map(|headers| headers.refused.clone());
        self.doors.metrics(self.name, proxied.unwrap_or_default())
    }

    /// Takes connections until `shutdown` closes; then the port is closed. Each is served in a task
    /// of its own, guarded by `name`, and cut at the deadline.
    pub async fn each<Serving>(
        mut self,
        shutdown: &Shutdown,
        name: &'static str,
        serve: impl Fn(Accepted) -> Serving,
    ) where
        Serving: Future<Output = ()> + Send + 'static,
    {
        let closing = shutdown.closing();
        tokio::pin!(closing);
        loop {
            tokio::select! {
                accepted = self.accept() => shutdown.spawn(name, serve(accepted)),
                () = &mut closing => return,
            }
        }
    }

    /// The next connection; behind balancers, the next whose header has come. Never fails: errors of
    /// a connection skip it, and when the process is out of descriptors or memory it waits a moment
    /// instead of spinning. Cancel-safe.
    pub async fn accept(&mut self) -> Accepted {
        let mut pause = FIRST_PAUSE;
        loop {
            let next = tokio::select! {
                next = self.socket.accept() => next,
                (stream, client) = next_of(&mut self.headers) => match self.admit(stream, client) {
                    Some(accepted) => return accepted,
                    None => continue,
                },
            };
            match (next, &mut self.headers) {
                (Ok((stream, peer)), Some(headers)) => {
                    headers.read(stream, canonical(peer));
                    pause = FIRST_PAUSE;
                }
                (Ok((stream, peer)), None) => match self.admit(stream, canonical(peer)) {
                    Some(accepted) => return accepted,
                    None => pause = FIRST_PAUSE,
                },
                (Err(error), _) if is_of_one_connection(&error) => {}
                (Err(error), _) => {
                    tracing::warn!(listener = self.name, %error, ?pause, "cannot accept");
                    sleep(pause).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
            }
        }
    }

    /// `None`: dropped, because the peer is gone or even the refusals are too many.
    fn admit(&self, stream: TcpStream, peer: SocketAddr) -> Option<Accepted> {
        if let Err(error) = self.keep_alive.apply(&stream) {
            tracing::debug!(listener = self.name, %peer, %error, "gone before it was accepted");
            return None;
        }
        let admission = self.doors.admit(peer.ip())?;
        Some(Accepted {
            stream,
            peer,
            admission,
        })
    }
}

/// The next connection whose balancer has said whose it is; without balancers, none ever.
async fn next_of(headers: &mut Option<Headers>) -> (TcpStream, SocketAddr) {
    match headers {
        Some(headers) => headers.next().await,
        None => std::future::pending().await,
    }
}

fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Descriptors come back when connections end; a second is soon enough to look again.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Or a restart would wait for the connections of its predecessor to time out.
    socket.set_reuseaddr(true)?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        // Whatever the machine's default is (`net.ipv6.bindv6only`): all addresses are meant.
        SockRef::from(&socket).set_only_v6(false)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Errors that `accept(2)` passes on from a connection that is already dead.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}
