//! A polite no, within bounds.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::admission::{Doors, Reason};
use crate::net::linger;

/// A line of text is on its way within this or never.
const SAY: Duration = Duration::from_secs(5);

/// A connection to be refused; counted until it is dropped.
#[derive(Debug)]
pub struct Refusal {
    reason: Reason,
    doors: Arc<Doors>,
}

impl Refusal {
    pub(super) fn new(reason: Reason, doors: Arc<Doors>) -> Self {
        Self { reason, doors }
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Says one line, for example `421 …`, and closes; takes a few seconds at most. A TLS listener
    /// drops the connection instead: the client could not read it.
    pub async fn say(self, mut stream: TcpStream, line: &[u8]) {
        let said = timeout(SAY, async {
            stream.write_all(line).await?;
            linger(stream).await;
            Ok::<_, std::io::Error>(())
        });
        // Nobody is left to hear of a failure.
        let _ = said.await;
    }
}

impl Drop for Refusal {
    fn drop(&mut self) {
        self.doors.end_refusal();
    }
}
