//! From the port to a connection whose holder is known.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::ServerOptions;
use super::connection::Connection;
use crate::lifecycle::Shutdown;
use crate::listener::{Accepted, Admission, Permit};
use crate::rpc::Caller;
use crate::tls::{Credentials, PeerError, explain, peer_identity};

/// Why a connection did not come about; said in the log only.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("no TLS handshake within {} ms", .0.as_millis())]
    Slow(Duration),
    /// Plain text, no certificate, a foreign one.
    #[error("TLS failed: {}", explain(.0))]
    Tls(#[from] std::io::Error),
    #[error(transparent)]
    Peer(#[from] PeerError),
}

/// What a handshake needs; one task each, so that a slow client keeps nobody waiting. The
/// listener's cap bounds their number.
#[derive(Clone)]
pub(super) struct Handshakes {
    listener: &'static str,
    tls: TlsAcceptor,
    limit: Duration,
    shutdown: Shutdown,
    ready: mpsc::Sender<Connection>,
}

impl Handshakes {
    /// Those of a listener's connections; what is ready is handed on.
    pub(super) fn new(
        listener: &'static str,
        credentials: &Credentials,
        options: &ServerOptions,
        shutdown: Shutdown,
        ready: mpsc::Sender<Connection>,
    ) -> Self {
        Self {
            listener,
            tls: credentials.server_config().into(),
            limit: options.handshake_timeout,
            shutdown,
            ready,
        }
    }

    /// One connection, until it is handed on.
    pub(super) async fn one(self, accepted: Accepted) {
        let (listener, peer) = (self.listener, accepted.peer);
        let permit = match accepted.admission {
            Admission::Admitted(permit) => permit,
            Admission::Refused(refusal) => {
                // Counted by the listener; a line each would let a flood fill the log.
                let reason = refusal.reason();
                tracing::debug!(listener, %peer, %reason, "connection refused");
                return;
            }
        };
        let shaken = tokio::select! {
            shaken = self.shake(accepted.stream, peer, permit) => shaken,
            // It has asked for nothing yet.
            () = self.shutdown.closing() => return,
        };
        match shaken {
            // An error means that the server has ended; so does the connection.
            Ok(connection) => drop(self.ready.send(connection).await),
            Err(error) => tracing::info!(listener, %peer, %error, "connection refused"),
        }
    }

    async fn shake(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        permit: Permit,
    ) -> Result<Connection, Refused> {
        let shaken = timeout(self.limit, self.tls.accept(stream)).await;
        let stream = shaken.map_err(|_| Refused::Slow(self.limit))??;
        let (_, session) = stream.get_ref();
        let identity = peer_identity(session.peer_certificates().unwrap_or_default())?;
        let caller = Caller {
            identity: Arc::new(identity),
            address,
        };
        Ok(Connection::new(stream, caller, &self.shutdown, permit))
    }
}
