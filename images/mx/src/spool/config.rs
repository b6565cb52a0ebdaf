//! The spool's bounds, and its view of time and chance.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Check;
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

/// A shard that restarts is back within seconds.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// A shard that is away for hours is found again soon enough, and asked seldom enough.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// RFC 5321 section 4.5.4.1: "the give-up time generally needs to be at least 4-5 days".
const LIFETIME: Duration = Duration::from_secs(5 * 24 * 3600);

/// Spreads what failed together over a fifth of the wait.
const JITTER: f64 = 0.2;

/// Smaller than a heap's: spooled mail is short-lived, and a segment goes only as a whole.
const SEGMENT_BYTES: u64 = 64 << 20;

kit::settings! {
    /// How much the spool takes, and how it delivers.
    pub struct Config {
        /// What the spool may hold; above, nothing is accepted.
        pub max_bytes: u64 as SIZE = MAX_BYTES,
        /// Of the volume, in hundredths: the spool takes nothing when less is free.
        pub min_free_percent: u64 as "N" = MIN_FREE_PERCENT,
        /// Messages that the spool may hold.
        pub max_entries: usize as "N" = MAX_ENTRIES,
        /// Wait before the second attempt; it doubles.
        pub first_wait: Duration as DURATION = FIRST_WAIT,
        /// Longest wait between two attempts.
        pub longest_wait: Duration as DURATION = LONGEST_WAIT,
        /// After so long a message becomes a dead letter.
        pub lifetime: Duration as DURATION = LIFETIME,
        /// What part of a wait chance may add.
        pub jitter: f64 as HIDDEN = JITTER,
        /// Most deliveries to one shard at once.
        pub concurrency: usize as HIDDEN = CONCURRENCY,
        /// After so long a delivery counts as failed.
        pub attempt_timeout: Duration as HIDDEN = ATTEMPT_TIMEOUT,
        /// Octets of one segment of its log.
        pub segment_bytes: u64 as HIDDEN = SEGMENT_BYTES,
    }
}

/// With more kept free, a volume that serves others too never takes mail.
const MOST_FREE: u64 = 50;

impl Config {
    pub(crate) fn checks(&self) -> Vec<Check> {
        vec![
            (
                "spool.max-entries",
                self.max_entries == 0,
                "must be above 0",
            ),
            (
                "spool.min-free-percent",
                self.min_free_percent > MOST_FREE,
                "50 at most",
            ),
        ]
    }

    /// When it tries again, and when it gives up.
    pub fn schedule(&self) -> Schedule {
        let ms = |wait: Duration| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        Schedule {
            first_ms: ms(self.first_wait),
            longest_ms: ms(self.longest_wait),
            lifetime_ms: ms(self.lifetime),
            jitter: self.jitter,
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
