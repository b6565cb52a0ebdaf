//! Buffered octets in and replies out, with timeouts.

use std::sync::Arc;
use std::time::Duration;

use ::wire::smtp::{Frame, Framer, Reply};
use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use crate::config::Timeouts;

/// What is read at once: most messages in one go, and little for an idle session to hold.
const READ: usize = 32 * 1024;
/// What is sent at once at the latest, even if the client goes on with commands.
const MAX_OUTPUT: usize = 16 * 1024;
/// What a client may still send after the last reply before the connection is reset.
const SWALLOW: u64 = 256 * 1024;

/// One connection's octets.
pub(super) struct Stream<S> {
    stream: S,
    framer: Framer,
    input: BytesMut,
    output: BytesMut,
    timeouts: Arc<Timeouts>,
    /// When the session ends, whatever it does.
    until: Instant,
}

/// The connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The client closed it.
    #[error("the client closed the connection")]
    Eof,
    /// The client was silent for too long.
    #[error("the client was silent for too long")]
    Timeout,
    /// The session lasted as long as one may.
    #[error("the session took too long")]
    Overdue,
    /// The network or TLS failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    pub(super) fn new(stream: S, timeouts: Arc<Timeouts>, until: Instant) -> Self {
        let (framer, input, output) = (Framer::default(), BytesMut::new(), BytesMut::new());
        Self {
            stream,
            framer,
            input,
            output,
            timeouts,
            until,
        }
    }

    pub(super) fn into_stream(self) -> S {
        self.stream
    }

    /// The next line that is whole.
    pub(super) fn frame(&mut self) -> Option<Frame> {
        self.framer.next(&mut self.input)
    }

    /// Queues a reply; it goes out with the next flush, together with its neighbours.
    pub(super) fn say(&mut self, reply: &Reply) {
        reply.write(&mut self.output);
    }

    /// Whether so many replies are queued that they should go out.
    pub(super) fn is_full(&self) -> bool {
        self.output.len() >= MAX_OUTPUT
    }

    /// Sends what is queued, in one write.
    pub(super) async fn flush(&mut self) -> Result<(), Broken> {
        if self.output.is_empty() {
            return Ok(());
        }
        let sent = timeout(self.timeouts.write, async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        });
        sent.await.map_err(|_| Broken::Timeout)??;
        self.output.clear();
        Ok(())
    }

    /// Reads on while commands are awaited. Cancel-safe: what is dropped has read nothing.
    pub(super) async fn read_command(&mut self) -> Result<(), Broken> {
        self.read(self.timeouts.command).await
    }

    /// What was read of a body and not yet consumed; reads on when there is nothing.
    pub(super) async fn body(&mut self) -> Result<&[u8], Broken> {
        if self.input.is_empty() {
            self.read(self.timeouts.data).await?;
        }
        Ok(&self.input)
    }

    /// So many octets are used up.
    pub(super) fn consume(&mut self, octets: usize) {
        self.input.advance(octets);
    }

    async fn read(&mut self, limit: Duration) -> Result<(), Broken> {
        self.input.reserve(READ);
        let left = self.until.saturating_duration_since(Instant::now());
        let read = timeout(limit.min(left), self.stream.read_buf(&mut self.input)).await;
        let late = if left < limit {
            Broken::Overdue
        } else {
            Broken::Timeout
        };
        match read.map_err(|_| late)?? {
            0 => Err(Broken::Eof),
            _ => Ok(()),
        }
    }

    /// Sends what is queued and closes. What the client still sends is read away for a moment, so
    /// that it is not reset before it has read our last line.
    pub(super) async fn close(&mut self) {
        let linger = self.timeouts.linger;
        let farewell = async {
            self.flush().await?;
            self.stream.shutdown().await?;
            let mut rest = (&mut self.stream).take(SWALLOW);
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
            Ok::<(), Broken>(())
        };
        // Nobody is left to hear of a failure.
        let _ended = timeout(linger, farewell).await;
    }
}
