//! A protocol's lines over a connection: reading capped, writing gathered and bounded in time.

use std::io;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wire::{pop3, smtp};

use super::{linger, within};

/// Cuts lines off what came.
pub trait Framer: Default {
    /// What one read takes at most.
    const READ: usize;
    /// What bounds the next line.
    type Cap;
    /// A line, or what was wrong with it.
    type Line;

    /// The next line of `input`, if it is whole.
    fn next(&mut self, input: &mut BytesMut, cap: Self::Cap) -> Option<Self::Line>;
}

impl Framer for pop3::framing::Framer {
    /// A window of pipelined commands.
    const READ: usize = 4 << 10;
    /// Octets, with the line's end: it depends on the session's state.
    type Cap = usize;
    type Line = pop3::framing::Line;

    fn next(&mut self, input: &mut BytesMut, cap: usize) -> Option<Self::Line> {
        self.next(input, cap)
    }
}

impl Framer for smtp::Framer {
    /// Most messages in one go, and little for an idle session to hold.
    const READ: usize = 32 << 10;
    /// Always the protocol's.
    type Cap = ();
    type Line = smtp::Frame;

    fn next(&mut self, input: &mut BytesMut, (): ()) -> Option<Self::Line> {
        self.next(input)
    }
}

/// A connection that is read by POP3's lines.
pub type Pop3Lines<S> = LineStream<S, pop3::framing::Framer>;

/// A connection that is read by lines. Replies gather in [`Self::out`] until [`Self::flush`], so
/// that pipelined commands are answered in one segment.
#[derive(Debug)]
pub struct LineStream<S, F> {
    io: S,
    input: BytesMut,
    output: BytesMut,
    framer: F,
    patience: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin, F: Framer> LineStream<S, F> {
    /// Wraps a connection. `patience`: how long a peer may take to accept octets before a write
    /// fails with `TimedOut`.
    pub fn new(io: S, patience: Duration) -> Self {
        Self {
            io,
            input: BytesMut::new(),
            output: BytesMut::new(),
            framer: F::default(),
            patience,
        }
    }

    /// The next line that has already come, if it is whole.
    pub fn buffered(&mut self, cap: F::Cap) -> Option<F::Line> {
        self.framer.next(&mut self.input, cap)
    }

    /// Octets that came and are not yet taken.
    pub fn input(&self) -> &[u8] {
        &self.input
    }

    /// Takes octets that are no line's.
    pub fn consume(&mut self, octets: usize) {
        self.input.advance(octets);
    }

    /// Waits for octets and reads once; 0 at the peer's end. Cancel-safe.
    pub async fn fill(&mut self) -> io::Result<usize> {
        self.input.reserve(F::READ);
        (&mut self.io)
            .take(F::READ as u64)
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

    /// Sends what was written and closes, so that it is heard.
    pub async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        linger(&mut self.io).await;
        Ok(())
    }

    /// The connection and the octets that came and were not taken; replies must be flushed.
    pub fn into_parts(self) -> (S, BytesMut) {
        (self.io, self.input)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pop3::framing::Line;
    use tokio::io::duplex;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn reads_lines_and_gathers_replies() {
        let (mut peer, ours) = duplex(1024);
        let mut lines = Pop3Lines::new(ours, PATIENCE);
        peer.write_all(b"A\r\nB\r\nC").await.unwrap();
        assert_eq!(lines.fill().await.unwrap(), 7);
        for expected in ["A", "B"] {
            let line = Line::Whole(Bytes::from(expected));
            assert_eq!(lines.buffered(255), Some(line));
            lines.out().extend_from_slice(b"+OK\r\n");
        }
        assert_eq!(lines.buffered(255), None);
        assert_eq!(lines.input(), b"C");
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
        let mut lines = Pop3Lines::new(ours, PATIENCE);
        lines.out().extend_from_slice(&[b'x'; 100]);
        let error = lines.flush().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn closing_says_the_last_words() {
        let (mut peer, ours) = duplex(1024);
        let mut lines = Pop3Lines::new(ours, PATIENCE);
        lines.out().extend_from_slice(b"-ERR bye\r\n");
        peer.write_all(b"unread").await.unwrap();
        let closed = tokio::spawn(async move { lines.close().await });
        let mut words = String::new();
        peer.read_to_string(&mut words).await.unwrap();
        drop(peer);
        closed.await.unwrap().unwrap();
        assert_eq!(words, "-ERR bye\r\n");
    }
}
