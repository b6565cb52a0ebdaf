//! Closing so that our last words arrive: unread input would reset the connection before the peer
//! has read them.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// A peer that has read our last words closes within a round trip.
const LINGER: Duration = Duration::from_secs(2);

/// What is read away in that time: what a client has sent before it could know.
const LINGER_OCTETS: u64 = 256 << 10;

/// Says that nothing follows, and waits a moment for the peer to close too.
pub async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    // The peer owes us nothing any more, and nobody is left to hear of a failure.
    let _ = timeout(LINGER, stream.shutdown()).await;
    read_away(stream).await;
}

/// The second half, of a connection whose other direction is closed already.
pub async fn read_away(reader: impl AsyncRead + Unpin) {
    let mut rest = reader.take(LINGER_OCTETS);
    let mut nowhere = tokio::io::sink();
    let _ = timeout(LINGER, tokio::io::copy(&mut rest, &mut nowhere)).await;
}
