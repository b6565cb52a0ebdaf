//! What every protocol here does with a connection: lines in, replies out, a close that is heard.

mod lines;
mod linger;

use std::io;
use std::time::Duration;

use tokio::time::timeout;

pub use lines::{Framer, LineStream, Pop3Lines};
pub use linger::{linger, read_away};

/// Bounds what waits for a peer; fails with `TimedOut`.
pub async fn within<T>(limit: Duration, io: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, io)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
