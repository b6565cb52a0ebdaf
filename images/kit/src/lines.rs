//! POP3's lines over a connection: reading capped, writing gathered and bounded in time.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use wire::pop3::framing::{Framer, Line};

/// What one read takes at most; a window of pipelined commands.
const READ: usize = 4096;

/// A connection that is read by lines. Replies gather in [`Self::out`] until [`Self::flush`], so
/// that pipelined commands are answered in one segment.
#[derive(Debug)]
pub struct LineStream<S> {
    io: S,
    input: BytesMut,
    output: BytesMut,
    framer: Framer,
    patience: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> LineStream<S> {
    /// Wraps a connection. `patience`: how long a peer may take to accept octets before a write
    /// fails with `TimedOut`.
    pub fn new(io: S, patience: Duration) -> Self {
        Self {
            io,
            input: BytesMut::new(),
            output: BytesMut::new(),
            framer: Framer::default(),
            patience,
        }
    }

    /// The next line that has already come, if it is whole. `cap` counts the line's end.
    pub fn buffered(&mut self, cap: usize) -> Option<Line> {
        self.framer.next(&mut self.input, cap)
    }

    /// Octets that came and are not yet taken.
    pub fn pending(&self) -> usize {
        self.input.len()
    }

    /// Waits for octets and reads once; 0 at the peer's end. Cancel-safe.
    pub async fn fill(&mut self) -> io::Result<usize> {
        self.input.reserve(READ);
        (&mut self.io)
            .take(READ as u64)
            .read_buf(&mut self.input)
            .await
    }

    /// Where replies are written.
    pub fn out(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Sends what was written. Fails with `TimedOut` when the peer takes nothing for too long.
    pub async fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            let written = within(self.patience, self.io.write_buf(&mut self.output)).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        within(self.patience, self.io.flush()).await
    }

    /// Sends what was written, says that nothing follows, and waits a moment for the peer to close
    /// too, so that unread input does not reset the connection before it has read our words.
    pub async fn close(mut self) -> io::Result<()> {
        self.flush().await?;
        within(self.patience, self.io.shutdown()).await?;
        let mut rest = (&mut self.io).take(LINGER_OCTETS);
        let mut nowhere = tokio::io::sink();
        // The peer owes us nothing any more.
        let _ = timeout(LINGER, tokio::io::copy(&mut rest, &mut nowhere)).await;
        Ok(())
    }

    /// The connection and the octets that came and were not taken; replies must be flushed.
    pub fn into_parts(self) -> (S, BytesMut) {
        (self.io, self.input)
    }
}

/// A peer that has read our last words closes within a round trip.
const LINGER: Duration = Duration::from_secs(2);
/// What is read away in that time.
const LINGER_OCTETS: u64 = 1 << 16;

async fn within<T>(limit: Duration, io: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, io)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::duplex;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn reads_lines_and_gathers_replies() {
        let (mut peer, ours) = duplex(1024);
        let mut lines = LineStream::new(ours, PATIENCE);
        peer.write_all(b"A\r\nB\r\nC").await.unwrap();
        assert_eq!(lines.fill().await.unwrap(), 7);
        for expected in ["A", "B"] {
            let line = Line::Whole(Bytes::from(expected));
            assert_eq!(lines.buffered(255), Some(line));
            lines.out().extend_from_slice(b"+OK\r\n");
        }
        assert_eq!((lines.buffered(255), lines.pending()), (None, 1));
        lines.flush().await.unwrap();
        let mut replies = [0; 10];
        peer.read_exact(&mut replies).await.unwrap();
        assert_eq!(&replies, b"+OK\r\n+OK\r\n");
        drop(peer);
        assert_eq!(lines.fill().await.unwrap(), 0);
        assert_eq!(&lines.into_parts().1[..], b"C");
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_given_up() {
        let (_peer, ours) = duplex(16);
        let mut lines = LineStream::new(ours, PATIENCE);
        lines.out().extend_from_slice(&[b'x'; 100]);
        let error = lines.flush().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn closing_says_the_last_words() {
        let (mut peer, ours) = duplex(1024);
        let mut lines = LineStream::new(ours, PATIENCE);
        lines.out().extend_from_slice(b"-ERR bye\r\n");
        peer.write_all(b"unread").await.unwrap();
        let closed = tokio::spawn(lines.close());
        let mut words = String::new();
        peer.read_to_string(&mut words).await.unwrap();
        drop(peer);
        closed.await.unwrap().unwrap();
        assert_eq!(words, "-ERR bye\r\n");
    }
}
