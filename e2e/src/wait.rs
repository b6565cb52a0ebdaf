//! Waiting on conditions, never for a fixed time.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(25);

/// Waits until `attempt` succeeds; after `limit` fails with `what` and the last reason.
pub async fn until<T, E, F>(
    what: &str,
    limit: Duration,
    mut attempt: impl FnMut() -> F,
) -> Result<T>
where
    E: Display,
    F: Future<Output = Result<T, E>>,
{
    let began = Instant::now();
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(reason) if began.elapsed() >= limit => {
                bail!(
                    "{what}: not within {} s; at last: {reason:#}",
                    limit.as_secs()
                )
            }
            Err(_) => tokio::time::sleep(INTERVAL).await,
        }
    }
}
