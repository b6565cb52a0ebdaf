//! The spool's bounds, and its view of time and chance.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::spool::schedule::Schedule;

/// Half of the volume that the chart asks for: what is dead but not yet reclaimed needs room too.
const MAX_BYTES: u64 = 10 << 30;

/// What becomes of the mail that is held is recorded here too, and shards on the same volume, which
/// stop at 5 %, are to be refused their mail before the spool is.
const MIN_FREE_PERCENT: u64 = 2;

/// About 1 KiB of memory each.
const MAX_ENTRIES: usize = 200_000;

/// A shard that comes back is not flooded, and one that hangs holds few bodies.
const CONCURRENCY: usize = 8;

/// Several times what the largest message takes on a slow link; a shard that needs longer hangs.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(300);

/// Smaller than a heap's: spooled mail is short-lived, and a segment goes only as a whole.
const SEGMENT_BYTES: u64 = 64 << 20;

/// How much the spool takes, and how it delivers.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Most octets on disk; above, nothing is accepted.
    pub max_bytes: u64,
    /// Least of the volume, in hundredths, that stays free; below, nothing is accepted.
    pub min_free_percent: u64,
    /// Most messages.
    pub max_entries: usize,
    /// Most deliveries to one shard at once.
    pub concurrency: usize,
    /// Milliseconds until a delivery counts as failed.
    pub attempt_timeout_ms: u64,
    /// Octets of one segment of its log.
    pub segment_bytes: u64,
    /// When to try again.
    pub schedule: Schedule,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_bytes: MAX_BYTES,
            min_free_percent: MIN_FREE_PERCENT,
            max_entries: MAX_ENTRIES,
            concurrency: CONCURRENCY,
            attempt_timeout_ms: ATTEMPT_TIMEOUT.as_millis() as u64,
            segment_bytes: SEGMENT_BYTES,
            schedule: Schedule::default(),
        }
    }
}

/// Where time and chance come from, so that tests bring their own.
#[derive(Clone)]
pub struct Clock {
    /// Milliseconds since 1970.
    pub now_ms: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// A number from 0 to below 1.
    pub chance: Arc<dyn Fn() -> f64 + Send + Sync>,
    /// Waits.
    pub sleep: Arc<dyn Fn(Duration) -> Sleep + Send + Sync>,
}

/// A wait.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Clock {
    /// The machine's.
    pub fn system() -> Self {
        Self {
            now_ms: Arc::new(kit::clock::unix_ms),
            chance: Arc::new(chance),
            sleep: Arc::new(|time| Box::pin(tokio::time::sleep(time))),
        }
    }

    pub(crate) fn now(&self) -> i64 {
        (self.now_ms)()
    }

    pub(crate) fn sleep(&self, time: Duration) -> Sleep {
        (self.sleep)(time)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

fn chance() -> f64 {
    let [octet, more, ..] = uuid::Uuid::new_v4().into_bytes();
    f64::from(u16::from_be_bytes([octet, more])) / 65536.0
}
