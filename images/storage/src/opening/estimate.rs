//! How far a recovery is and how long it still takes, from what was read and the time passed.

use std::fmt;
use std::time::Duration;

/// What is read first is no measure: files are opened, caches are cold.
const EVIDENCE: Duration = Duration::from_secs(5);

/// A recovery, as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// Of the octets that are to be read, 0 to 100.
    pub percent: u32,
    /// None: it cannot be estimated yet.
    pub minutes_left: Option<u64>,
}

impl Recovery {
    /// Of one that has read so many of its octets in this time.
    pub(super) fn of(read: u64, octets: u64, passed: Duration) -> Self {
        let read = read.min(octets);
        let percent = u128::from(read) * 100 / u128::from(octets.max(1));
        Self {
            percent: percent as u32,
            minutes_left: minutes_left(read, octets - read, passed),
        }
    }
}

/// As fast as until now; a minute that has begun counts.
fn minutes_left(read: u64, left: u64, passed: Duration) -> Option<u64> {
    if read == 0 || passed < EVIDENCE {
        return None;
    }
    let millis = passed.as_millis() * u128::from(left) / u128::from(read);
    u64::try_from(millis.div_ceil(60_000)).ok()
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.percent)?;
        match self.minutes_left {
            Some(minutes) => write!(f, ", {minutes} min left"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GIB: u64 = 1 << 30;

    fn told(read: u64, octets: u64, seconds: u64) -> String {
        Recovery::of(read, octets, Duration::from_secs(seconds)).to_string()
    }

    #[test]
    fn the_rest_takes_as_long_as_what_was_read() {
        assert_eq!(told(40 * GIB, 100 * GIB, 120), "40 %, 3 min left");
        assert_eq!(told(GIB, 100 * GIB, 60), "1 %, 99 min left");
        assert_eq!(told(99 * GIB, 100 * GIB, 99), "99 %, 1 min left");
        assert_eq!(told(100 * GIB, 100 * GIB, 99), "100 %, 0 min left");
    }

    #[test]
    fn nothing_is_estimated_from_nothing() {
        assert_eq!(told(0, 100, 1000), "0 %");
        assert_eq!(told(40, 100, 4), "40 %");
        assert_eq!(told(0, 0, 1000), "0 %");
    }

    proptest! {
        #[test]
        fn any_numbers(read: u64, octets: u64, millis: u64) {
            let recovery = Recovery::of(read, octets, Duration::from_millis(millis));
            prop_assert!(recovery.percent <= 100);
        }

        #[test]
        fn percents_rise(octets in 1..u64::MAX, read: u64, more: u64) {
            let passed = Duration::from_secs(60);
            let before = Recovery::of(read, octets, passed);
            let after = Recovery::of(read.saturating_add(more), octets, passed);
            prop_assert!(before.percent <= after.percent);
            prop_assert!(after.minutes_left.is_none() || before.minutes_left >= after.minutes_left || before.minutes_left.is_none());
        }
    }
}
