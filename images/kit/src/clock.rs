//! The two clocks: one to measure leases by, one for people.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// Time since the machine started, time asleep included (`CLOCK_BOOTTIME`).
///
/// A lease is measured by this and not by `std::time::Instant`, which stands still while the
/// machine sleeps and would make a lease look younger than it is.
pub fn boottime() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}

/// Milliseconds since 1970, UTC. 0 when the machine's clock stands before that.
pub fn unix_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boottime_goes_on() {
        let before = boottime();
        assert!(before > Duration::ZERO);
        assert!(boottime() >= before);
    }

    #[test]
    fn unix_ms_is_of_this_century() {
        assert!(unix_ms() > 1_600_000_000_000);
    }
}
