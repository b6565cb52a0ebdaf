//! POP3 for the proxies: RFC 1939 with RFC 2449 and 5034, over mTLS, by SASL EXTERNAL.
//!
//! [`serve`] accepts, `machine` says what each line means, `session` carries it out.

use std::sync::Arc;

use kit::lifecycle::Shutdown;
use kit::listener::{Accepted, Admission, ListenAt, Listener, ListenerConfig};
use kit::tls::Credentials;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use wire::identity::{Identity, Tier};

use self::times::QUIET;
use crate::maildrop::Mailstore;

pub(crate) mod machine;
mod marks;
mod metrics;
mod session;
pub mod times;

pub use self::metrics::Metrics;
pub use self::times::Times;

/// Sessions at the same time: with 100 KB of buffers each, 1 GB for a full house.
const MAX_SESSIONS: usize = 10_000;

/// How the POP3 listener behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where proxies connect.
    pub listener: ListenerConfig,
    /// How long it waits.
    pub times: Times,
}

impl Config {
    /// At an address set by `flag`.
    pub fn new(flag: &'static str, address: impl Into<ListenAt>, times: Times) -> Self {
        let listener = ListenerConfig {
            max_connections: MAX_SESSIONS,
            // All sessions come from few proxies, which have their own caps by client.
            max_per_address: MAX_SESSIONS,
            keep_alive: times.keep_alive(),
            ..ListenerConfig::new("pop3", flag, address)
        };
        Self { listener, times }
    }
}

/// What all sessions share.
struct Shared {
    store: Mailstore,
    times: Times,
    metrics: Metrics,
    shutdown: Shutdown,
    tls: TlsAcceptor,
    shard: String,
}

/// Serves proxies until `shutdown` closes. Sessions go on until their client is done or quiet, or
/// they are cut. Bind `listener` from [`Config::listener`].
pub async fn serve(
    listener: Listener,
    credentials: &Credentials,
    store: Mailstore,
    config: Config,
    metrics: Metrics,
    shutdown: Shutdown,
) {
    let shared = Arc::new(Shared {
        store,
        times: config.times,
        metrics,
        tls: TlsAcceptor::from(credentials.server_config()),
        shard: credentials.identity().instance().to_owned(),
        shutdown: shutdown.clone(),
    });
    let each = |accepted| connection(shared.clone(), accepted);
    listener.each(&shutdown, "POP3 sessions", each).await;
}

async fn connection(shared: Arc<Shared>, accepted: Accepted) {
    let peer = accepted.peer;
    let _permit = match accepted.admission {
        Admission::Admitted(permit) => permit,
        Admission::Refused(refusal) => {
            // The proxy could not read words before TLS; it tells its client that we are away.
            tracing::warn!(%peer, reason = %refusal.reason(), "proxy refused");
            return;
        }
    };
    match handshake(&shared, accepted.stream).await {
        Ok((stream, proxy)) => session::run(&shared, stream, &proxy).await,
        Err(error) => tracing::warn!(%peer, %error, "not a proxy"),
    }
}

/// Why a connection is not a proxy's.
#[derive(Debug, thiserror::Error)]
enum Stranger {
    #[error("TLS failed: {0}")]
    Tls(#[from] std::io::Error),
    #[error("no TLS handshake in time")]
    Slow,
    #[error(transparent)]
    Certificate(#[from] kit::tls::PeerError),
    #[error("{0} is not a proxy")]
    Tier(Identity),
}

async fn handshake(
    shared: &Shared,
    stream: TcpStream,
) -> Result<(TlsStream<TcpStream>, Identity), Stranger> {
    let accepted = timeout(shared.times.login, shared.tls.accept(stream)).await;
    let stream = accepted.map_err(|_| Stranger::Slow)??;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let peer = kit::tls::peer_identity(chain)?;
    match peer.tier() {
        Tier::Proxy => Ok((stream, peer)),
        Tier::Directory | Tier::Storage | Tier::Mx | Tier::Admin | Tier::Operator => {
            Err(Stranger::Tier(peer))
        }
    }
}

impl Shared {
    /// Resolves when a client that says nothing is shown out because the shard closes.
    async fn quiet(&self) {
        self.shutdown.closing().await;
        sleep(QUIET).await;
    }
}
