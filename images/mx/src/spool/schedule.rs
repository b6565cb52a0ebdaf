//! When a delivery is tried again, and when it is given up. Pure.

use serde::Deserialize;

/// A shard that restarts is back within seconds.
const FIRST_MS: i64 = 5_000;

/// A shard that is away for hours is found again soon enough, and asked seldom enough.
const LONGEST_MS: i64 = 15 * 60_000;

/// RFC 5321 section 4.5.4.1: "the give-up time generally needs to be at least 4-5 days".
const LIFETIME_MS: i64 = 5 * 24 * 3_600_000;

/// Spreads what failed together over a fifth of the wait.
const JITTER: f64 = 0.2;

/// The timetable of one spool.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// Milliseconds before the second attempt; doubled for each one after.
    pub first_ms: i64,
    /// Never more milliseconds than these between two attempts.
    pub longest_ms: i64,
    /// Milliseconds after receiving a message when it becomes a dead letter.
    pub lifetime_ms: i64,
    /// What part of a wait chance may add.
    pub jitter: f64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            first_ms: FIRST_MS,
            longest_ms: LONGEST_MS,
            lifetime_ms: LIFETIME_MS,
            jitter: JITTER,
        }
    }
}

impl Schedule {
    /// When to try again after `attempts` failed ones, the last of them at `now_ms`. `chance` is
    /// from 0 to below 1.
    pub fn next_attempt(&self, attempts: u32, now_ms: i64, chance: f64) -> i64 {
        let doublings = attempts.saturating_sub(1).min(40);
        let wait = self.first_ms.saturating_mul(1 << doublings);
        let wait = wait.min(self.longest_ms);
        let more = (wait as f64 * self.jitter * chance) as i64;
        now_ms.saturating_add(wait).saturating_add(more)
    }

    /// Whether a message received then is to be given up now.
    pub fn expired(&self, received_at_ms: i64, now_ms: i64) -> bool {
        now_ms.saturating_sub(received_at_ms) >= self.lifetime_ms
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let schedule = Schedule::default();
        let seconds: Vec<_> = [1, 2, 3, 8, 9, 10, 1000]
            .map(|attempts| schedule.next_attempt(attempts, 0, 0.0) / 1000)
            .into();
        assert_eq!(seconds, [5, 10, 20, 640, 900, 900, 900]);
        assert_eq!(schedule.next_attempt(1, 7, 0.5), 7 + 5500);
    }

    #[test]
    fn gives_up_after_five_days() {
        let schedule = Schedule::default();
        assert!(!schedule.expired(1, LIFETIME_MS));
        assert!(schedule.expired(1, LIFETIME_MS + 1));
        // A clock that was set back does no harm.
        assert!(!schedule.expired(1000, 0));
    }

    proptest! {
        #[test]
        fn always_later_and_never_too_late(attempts: u32, now in 0_i64..1 << 50, chance in 0.0..1.0) {
            let wait = Schedule::default().next_attempt(attempts, now, chance) - now;
            prop_assert!((FIRST_MS..LONGEST_MS + LONGEST_MS / 5).contains(&wait));
        }
    }
}
