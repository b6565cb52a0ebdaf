//! Failed logins of one key.

use std::time::{Duration, Instant};

/// How many there were, and when the last one was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failures {
    pub(super) count: u32,
    pub(super) last: Instant,
}

impl Failures {
    /// How many are not yet forgiven. They are capped, so that even an attack of days is
    /// forgiven within half an hour.
    pub(super) fn left(self, now: Instant, forgive: Duration) -> u32 {
        let since = now.saturating_duration_since(self.last);
        let forgiven = since.as_nanos() / forgive.as_nanos().max(1);
        let count = self.count.min(32);
        count.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }
}
