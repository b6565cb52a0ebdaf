//! Connections that come through a balancer: it says first whose each is.
//!
//! The header is believed, so it is read from the balancer's addresses only; whoever else connects
//! is dropped, or anybody could take anybody's address.

use std::net::SocketAddr;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use wire::proxy_header::{BadHeader, HEAD, Head, MAX_REST};

use super::network::Network;

/// A balancer writes its header with the first octets of a connection, or before.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections whose header has not come yet; a balancer's takes a round trip inside.
const MAX_WAITING: usize = 1024;

/// Connections whose headers are being read, so that a slow one holds up nobody.
#[derive(Debug)]
pub(super) struct Headers {
    name: &'static str,
    trusted: Vec<Network>,
    patience: Duration,
    /// They end with the listener.
    waiting: JoinSet<Heard>,
    pub(super) refused: Refused,
}

/// A balancer's address, and the connection with its client's.
type Heard = (SocketAddr, Result<(TcpStream, SocketAddr), NoHeader>);

/// Connections that were dropped without a word.
#[derive(Debug, Clone, Default)]
pub(super) struct Refused {
    /// They came from elsewhere.
    pub(super) untrusted: Counter,
    /// They had no header, a bad one, or it did not come in time.
    pub(super) no_header: Counter,
}

#[derive(Debug, thiserror::Error)]
enum NoHeader {
    #[error("it did not come within {} s", .0.as_secs())]
    Slow(Duration),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Bad(#[from] BadHeader),
}

impl Headers {
    pub(super) fn new(name: &'static str, trusted: Vec<Network>) -> Self {
        Self {
            name,
            trusted,
            patience: PATIENCE,
            waiting: JoinSet::new(),
            refused: Refused::default(),
        }
    }

    /// Begins to read the header of a connection, for [`Self::next`].
    pub(super) fn read(&mut self, stream: TcpStream, balancer: SocketAddr) {
        let (listener, ip) = (self.name, balancer.ip());
        if !self.trusted.iter().any(|network| network.contains(ip)) {
            self.refused.untrusted.inc();
            tracing::debug!(listener, peer = %balancer, "refused: no balancer of ours");
        } else if self.waiting.len() >= MAX_WAITING {
            self.refused.no_header.inc();
            tracing::warn!(listener, peer = %balancer, "refused: too many without a PROXY header");
        } else {
            let reading = in_time(self.patience, stream, balancer);
            let reading = async move { (balancer, reading.await) };
            self.waiting.spawn(reading);
        }
    }

    /// The next connection whose header has come, and whose it is. Cancel-safe.
    pub(super) async fn next(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.waiting.join_next().await {
                Some(Ok((_, Ok(connection)))) => return connection,
                Some(Ok((balancer, Err(error)))) => self.refuse(balancer, &error),
                Some(Err(error)) => {
                    tracing::error!(listener = self.name, %error, "a PROXY header was not read");
                }
                None => std::future::pending().await,
            }
        }
    }

    fn refuse(&self, balancer: SocketAddr, error: &NoHeader) {
        self.refused.no_header.inc();
        let (listener, peer) = (self.name, balancer);
        match error {
            // A balancer that only looks whether the port is open.
            NoHeader::Io(_) => tracing::debug!(listener, %peer, %error, "gone before its header"),
            NoHeader::Slow(_) | NoHeader::Bad(_) => {
                tracing::warn!(listener, %peer, %error, "refused: a balancer sent no PROXY header");
            }
        }
    }
}

async fn in_time(
    patience: Duration,
    stream: TcpStream,
    balancer: SocketAddr,
) -> Result<(TcpStream, SocketAddr), NoHeader> {
    let header = timeout(patience, header(stream, balancer)).await;
    header.unwrap_or(Err(NoHeader::Slow(patience)))
}

/// Reads not an octet more than the header.
async fn header(
    mut stream: TcpStream,
    balancer: SocketAddr,
) -> Result<(TcpStream, SocketAddr), NoHeader> {
    let mut head = [0; HEAD];
    stream.read_exact(&mut head).await?;
    let head = Head::parse(&head)?;
    let mut rest = [0; MAX_REST];
    let rest = &mut rest[..head.rest()];
    stream.read_exact(rest).await?;
    let client = head.client(rest)?;
    Ok((stream, client.unwrap_or(balancer)))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_balancer_that_says_nothing_is_cut_off() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(port.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, balancer) = port.accept().await.unwrap();
        let mut headers = Headers::new("smtp", vec!["127.0.0.1".parse().unwrap()]);
        headers.patience = Duration::from_millis(10);
        headers.read(stream, balancer);
        let refused = headers.refused.no_header.clone();
        let listening = tokio::spawn(async move { headers.next().await });
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        while refused.get() == 0 {
            tokio::task::yield_now().await;
        }
        listening.abort();
    }
}
