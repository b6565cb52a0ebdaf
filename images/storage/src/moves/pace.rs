//! How fast copies leave a shard.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use prost::Message as _;
use tonic::Status;
use wire::rpc::ExportPart;

/// With less, the parts of all exports together would take so long that targets take it for the end.
const LEAST_PER_SECOND: u64 = 1 << 20;

/// What was not used is good for so long: timers and threads are late by some milliseconds.
const SLACK: Duration = Duration::from_millis(100);

/// The pace of all exports of a shard together, as the directory last asked for it.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    bytes_per_second: u64,
    /// When all that was let go is gone.
    gone: Option<Instant>,
}

impl Pace {
    /// From now on so many octets a second.
    pub(super) fn set(&self, bytes_per_second: u64) {
        self.0.lock().bytes_per_second = bytes_per_second;
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
        let mut state = self.0.lock();
        let oldest = now.checked_sub(SLACK).unwrap_or(now);
        let begins = state.gone.map_or(now, |gone| gone.max(oldest));
        state.gone = Some(begins + time_of(octets, state.bytes_per_second));
        begins.saturating_duration_since(now)
    }
}

fn time_of(octets: u64, bytes_per_second: u64) -> Duration {
    let rate = bytes_per_second.max(LEAST_PER_SECOND);
    let nanos = u128::from(octets) * 1_000_000_000 / u128::from(rate);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use wire::rpc::export_part::Part;

    use super::*;

    const RATE: u64 = 10 << 20;

    /// A tenth of a second each.
    const PART: u64 = 1 << 20;

    fn pace() -> Arc<Pace> {
        let pace = Arc::new(Pace::default());
        pace.set(RATE);
        pace
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
    fn another_pace_holds_from_the_next_part_on() {
        let (pace, now) = (pace(), Instant::now());
        pace.wait(PART, now);
        pace.set(2 * RATE);
        let waits = [(); 2].map(|()| pace.wait(PART, now));
        assert_eq!(waits, [100, 150].map(Duration::from_millis));
        // Less than what keeps a copy going is as much as that.
        pace.set(0);
        pace.wait(LEAST_PER_SECOND, now);
        assert_eq!(pace.wait(0, now), Duration::from_millis(1_200));
    }
}
