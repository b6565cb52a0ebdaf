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
use crate::listener::{Accepted, Admission, Listener, Permit};
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

/// Accepts connections and hands them on once their handshake is done.
pub(super) struct Acceptor {
    listener: Listener,
    handshakes: Handshakes,
}

/// What a handshake needs; one task each, so that a slow client keeps nobody waiting. The
/// listener's cap bounds their number.
#[derive(Clone)]
struct Handshakes {
    tls: TlsAcceptor,
    limit: Duration,
    shutdown: Shutdown,
    ready: mpsc::Sender<Connection>,
}

impl Acceptor {
    pub(super) fn new(
        listener: Listener,
        credentials: &Credentials,
        options: &ServerOptions,
        shutdown: Shutdown,
        ready: mpsc::Sender<Connection>,
    ) -> Self {
        Self {
            listener,
            handshakes: Handshakes {
                tls: credentials.server_config().into(),
                limit: options.handshake_timeout,
                shutdown,
                ready,
            },
        }
    }

    /// Until the process closes; then the port is closed.
    pub(super) async fn run(self) {
        let shutdown = self.handshakes.shutdown.clone();
        let name = self.listener.name();
        loop {
            let Accepted {
                stream,
                peer,
                admission,
            } = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = shutdown.closing() => return,
            };
            match admission {
                Admission::Admitted(permit) => {
                    let handshakes = self.handshakes.clone();
                    tokio::spawn(handshakes.one(name, stream, peer, permit));
                }
                Admission::Refused(refusal) => {
                    // Counted by the listener; a line each would let a flood fill the log.
                    let reason = refusal.reason();
                    tracing::debug!(listener = name, %peer, %reason, "connection refused");
                }
            }
        }
    }
}

impl Handshakes {
    async fn one(
        self,
        listener: &'static str,
        stream: TcpStream,
        peer: SocketAddr,
        permit: Permit,
    ) {
        let shaken = tokio::select! {
            shaken = self.shake(stream, peer, permit) => shaken,
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
