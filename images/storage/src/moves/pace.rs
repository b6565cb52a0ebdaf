//! How fast copies leave a shard.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use kit::config::Problem;
use parking_lot::Mutex;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tonic::Status;
use wire::rpc::ExportPart;

/// A disk and a network have more, and the rest is for the mail.
pub const BYTES_PER_SECOND: u64 = 50 << 20;

/// With less, the parts of all exports together would take so long that targets take it for the end.
const LEAST_PER_SECOND: u64 = 1 << 20;

/// What was not used is good for so long: timers and threads are late by some milliseconds.
const SLACK: Duration = Duration::from_millis(100);

/// What moves may cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Octets of all copies that leave the shard, together. See [`BYTES_PER_SECOND`].
    #[serde(with = "kit::config::size")]
    pub bytes_per_second: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bytes_per_second: BYTES_PER_SECOND,
        }
    }
}

impl Settings {
    /// What would end every move.
    pub(crate) fn check(&self) -> Option<Problem> {
        let slow = self.bytes_per_second < LEAST_PER_SECOND;
        slow.then(|| Problem::of("moves.bytes-per-second", "must be 1M at least"))
    }
}

/// The pace of all exports of a shard together.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_second: u64,
    /// When all that was let go is gone.
    gone: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) fn new(settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            bytes_per_second: settings.bytes_per_second.max(LEAST_PER_SECOND),
            gone: Mutex::default(),
        })
    }

    /// The parts, as fast as they may go.
    pub(super) fn paced(
        self: Arc<Self>,
        parts: impl Stream<Item = Result<ExportPart, Status>>,
    ) -> impl Stream<Item = Result<ExportPart, Status>> {
        parts.then(move |part| {
            let wait = match &part {
                Ok(part) => self.wait(part.encoded_len() as u64, Instant::now()),
                Err(_) => Duration::ZERO,
            };
            async move {
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                part
            }
        })
    }

    /// How long these octets have to wait; they are let go after that.
    fn wait(&self, octets: u64, now: Instant) -> Duration {
        let mut gone = self.gone.lock();
        let oldest = now.checked_sub(SLACK).unwrap_or(now);
        let begins = gone.map_or(now, |gone| gone.max(oldest));
        *gone = Some(begins + self.time_of(octets));
        begins.saturating_duration_since(now)
    }

    fn time_of(&self, octets: u64) -> Duration {
        let nanos = u128::from(octets) * 1_000_000_000 / u128::from(self.bytes_per_second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use wire::rpc::export_part::Part;

    use super::*;

    const RATE: u64 = 10 << 20;

    /// A tenth of a second each.
    const PART: u64 = 1 << 20;

    fn pace() -> Arc<Pace> {
        Pace::new(&Settings {
            bytes_per_second: RATE,
        })
    }

    #[test]
    fn a_long_copy_has_its_rate_and_no_more() {
        let (pace, start) = (pace(), Instant::now());
        let mut now = start;
        for _ in 0..101 {
            now += pace.wait(PART, now);
        }
        assert_eq!(now - start, Duration::from_secs(10));
    }

    #[tokio::test]
    async fn what_goes_through_is_counted() {
        let (pace, start) = (pace(), Instant::now());
        let body = Part::Body(vec![0; PART as usize].into());
        let part = ExportPart { part: Some(body) };
        let parts = futures::stream::iter([Ok(part), Err(Status::internal("it ends"))]);
        let sent: Vec<_> = Arc::clone(&pace).paced(parts).collect().await;
        assert_eq!(sent.len(), 2);
        assert!(pace.wait(0, start) >= Duration::from_millis(100));
    }

    #[test]
    fn copies_at_the_same_time_share_it() {
        let (pace, now) = (pace(), Instant::now());
        let waits = [(); 3].map(|()| pace.wait(PART, now));
        assert_eq!(waits, [0, 100, 200].map(Duration::from_millis));
    }

    #[test]
    fn what_came_late_is_made_up_for_but_a_rest_is_not_saved() {
        let (pace, start) = (pace(), Instant::now());
        assert!(pace.wait(PART, start).is_zero());
        let late = start + Duration::from_millis(150);
        assert!(pace.wait(PART, late).is_zero());
        assert_eq!(pace.wait(PART, late), Duration::from_millis(50));
        let rested = start + Duration::from_secs(3600);
        let waits = [(); 3].map(|()| pace.wait(PART, rested));
        assert_eq!(waits, [0, 0, 100].map(Duration::from_millis));
    }

    #[test]
    fn too_slow_is_refused() {
        let of = |bytes_per_second| Settings { bytes_per_second }.check().is_some();
        assert!(of(LEAST_PER_SECOND - 1));
        assert!(!of(LEAST_PER_SECOND));
        assert!(Settings::default().check().is_none());
    }
}
