//! A client's lines and bodies, with timeouts, and our replies.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ::wire::smtp::{Frame, Framer, Reply};
use kit::net::LineStream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};

use crate::config::Timeouts;

/// What is sent at once at the latest, even if the client goes on with commands.
const MAX_OUTPUT: usize = 16 * 1024;

/// One connection's octets.
pub(super) struct Stream<S> {
    lines: LineStream<S, Framer>,
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
    Io(io::Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Timeout,
            _ => Self::Io(error),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    pub(super) fn new(stream: S, timeouts: Arc<Timeouts>, until: Instant) -> Self {
        Self {
            lines: LineStream::new(stream, timeouts.write),
            timeouts,
            until,
        }
    }

    pub(super) fn into_stream(self) -> S {
        self.lines.into_parts().0
    }

    /// The next line that is whole.
    pub(super) fn frame(&mut self) -> Option<Frame> {
        self.lines.buffered(())
    }

    /// Queues a reply; it goes out with the next flush, together with its neighbours.
    pub(super) fn say(&mut self, reply: &Reply) {
        reply.write(self.lines.out());
    }

    /// Whether so many replies are queued that they should go out.
    pub(super) fn is_full(&mut self) -> bool {
        self.lines.out().len() >= MAX_OUTPUT
    }

    /// Sends what is queued.
    pub(super) async fn flush(&mut self) -> Result<(), Broken> {
        Ok(self.lines.flush().await?)
    }

    /// Reads on while commands are awaited. Cancel-safe: what is dropped has read nothing.
    pub(super) async fn read_command(&mut self) -> Result<(), Broken> {
        self.read(self.timeouts.command).await
    }

    /// What was read of a body and not yet consumed; reads on when there is nothing.
    pub(super) async fn body(&mut self) -> Result<&[u8], Broken> {
        if self.lines.input().is_empty() {
            self.read(self.timeouts.data).await?;
        }
        Ok(self.lines.input())
    }

    /// So many octets are used up.
    pub(super) fn consume(&mut self, octets: usize) {
        self.lines.consume(octets);
    }

    async fn read(&mut self, limit: Duration) -> Result<(), Broken> {
        let left = self.until.saturating_duration_since(Instant::now());
        let read = timeout(limit.min(left), self.lines.fill()).await;
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

    /// Sends what is queued and closes.
    pub(super) async fn close(&mut self) {
        // Nobody is left to hear of a failure.
        let _ended = self.lines.close().await;
    }
}
