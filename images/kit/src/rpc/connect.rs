//! One connection to one process: TCP, mutual TLS, HTTP/2.

use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Status;
use tonic::codegen::http::uri::Authority;

use super::channel::ChannelOptions;
use crate::listener::KeepAlive;
use crate::tls::{explain, server_name};

/// A connection that requests can be sent on.
pub(super) type Sender = SendRequest<tonic::body::Body>;

/// Text that is not `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an endpoint: write HOST:PORT")]
pub struct BadEndpoint(String);

/// No connection came about, so nothing was sent.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot reach {target}: {reason}")]
pub struct ConnectError {
    target: Arc<str>,
    reason: Arc<Reason>,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("{0}")]
    Tcp(std::io::Error),
    /// Usually the peer is not who it should be; the TLS library's text says whom it found.
    #[error("TLS failed: {}", explain(.0))]
    Tls(std::io::Error),
    /// With TLS 1.3 a client learns only after its handshake that the server refuses it.
    #[error("it refused our certificate: {}", explain(.0))]
    RefusedUs(std::io::Error),
    #[error("it closed the connection before a word was said")]
    Closed,
    #[error("HTTP/2 failed: {0}")]
    Http(hyper::Error),
    #[error("no connection within {} ms", .0.as_millis())]
    Slow(Duration),
}

/// Whom to connect to, and how.
#[derive(Debug)]
pub(super) struct Target {
    /// "spiffe://… at host:port", for messages.
    pub(super) name: Arc<str>,
    pub(super) authority: Authority,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) options: ChannelOptions,
}

/// The status of a call that was never sent.
pub(super) fn unsent(error: ConnectError) -> Status {
    let mut status = Status::unavailable(error.to_string());
    status.set_source(Arc::new(error));
    status
}

/// Splits `host:port` for use in a URI.
pub(super) fn parse_endpoint(endpoint: &str) -> Result<Authority, BadEndpoint> {
    let bad = || BadEndpoint(endpoint.chars().take(MAX_ENDPOINT).collect());
    if endpoint.len() > MAX_ENDPOINT || endpoint.contains('@') {
        return Err(bad());
    }
    let authority: Authority = endpoint.parse().map_err(|_| bad())?;
    match authority.port_u16() {
        Some(port) if port > 0 && !authority.host().is_empty() => Ok(authority),
        _ => Err(bad()),
    }
}

/// The longest host name, and a port.
const MAX_ENDPOINT: usize = 253 + 6;

impl Target {
    /// Connects; the connection is driven by a task of its own until its last user is gone.
    pub(super) async fn connect(&self) -> Result<Sender, ConnectError> {
        let limit = self.options.connect_timeout;
        let connected = match timeout(limit, self.try_connect()).await {
            Ok(connected) => connected,
            Err(_) => Err(Reason::Slow(limit)),
        };
        connected.map_err(|reason| self.failed(reason))
    }

    fn failed(&self, reason: Reason) -> ConnectError {
        ConnectError {
            target: self.name.clone(),
            reason: Arc::new(reason),
        }
    }

    async fn try_connect(&self) -> Result<Sender, Reason> {
        let tcp = TcpStream::connect(self.authority.as_str())
            .await
            .map_err(Reason::Tcp)?;
        KeepAlive::default().apply(&tcp).map_err(Reason::Tcp)?;
        let tls = TlsConnector::from(self.tls.clone())
            .connect(server_name(), tcp)
            .await
            .map_err(Reason::Tls)?;
        let io = until_accepted(tls).await?;
        let (sender, connection) = self
            .http2()
            .handshake(TokioIo::new(io))
            .await
            .map_err(Reason::Http)?;
        let name = self.name.clone();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(to = %name, %error, "connection ended");
            }
        });
        Ok(sender)
    }

    fn http2(&self) -> http2::Builder<TokioExecutor> {
        let options = &self.options;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(options.stream_window)
            .initial_connection_window_size(options.connection_window)
            .keep_alive_interval(options.keep_alive_interval)
            .keep_alive_timeout(options.keep_alive_timeout)
            .keep_alive_while_idle(true);
        builder
    }
}

/// Waits for the server's first octets, its HTTP/2 settings, which it sends only after it has
/// taken our certificate. So a connection that stands is one that was accepted.
async fn until_accepted(
    tls: TlsStream<TcpStream>,
) -> Result<BufReader<TlsStream<TcpStream>>, Reason> {
    let mut io = BufReader::new(tls);
    match io.fill_buf().await {
        Ok([]) => Err(Reason::Closed),
        Ok(_) => Ok(io),
        Err(error) => Err(Reason::RefusedUs(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_have_host_and_port() {
        for good in ["127.0.0.1:7400", "[::1]:7400", "shard-1.example:1"] {
            assert_eq!(parse_endpoint(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "host",
            ":1",
            "host:0",
            "host:99999",
            "a@b:1",
            "h:1/x",
            "::1:7400",
        ] {
            assert!(parse_endpoint(bad).is_err(), "{bad:?}");
        }
    }
}
