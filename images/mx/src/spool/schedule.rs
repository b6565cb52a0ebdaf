//! When a delivery is tried again, and when it is given up. Pure.

/// The timetable of one spool.
#[derive(Debug, Clone, Copy, PartialEq)]
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

    fn usual() -> Schedule {
        crate::spool::Config::default().schedule()
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let schedule = usual();
        let seconds: Vec<_> = [1, 2, 3, 8, 9, 10, 1000]
            .map(|attempts| schedule.next_attempt(attempts, 0, 0.0) / 1000)
            .into();
        assert_eq!(seconds, [5, 10, 20, 640, 900, 900, 900]);
        assert_eq!(schedule.next_attempt(1, 7, 0.5), 7 + 5500);
    }

    #[test]
    fn gives_up_after_five_days() {
        let schedule = usual();
        let lifetime_ms = 5 * 24 * 3_600_000;
        assert!(!schedule.expired(1, lifetime_ms));
        assert!(schedule.expired(1, lifetime_ms + 1));
        // A clock that was set back does no harm.
        assert!(!schedule.expired(1000, 0));
    }

    proptest! {
        #[test]
        fn always_later_and_never_too_late(attempts: u32, now in 0_i64..1 << 50, chance in 0.0..1.0) {
            let wait = usual().next_attempt(attempts, now, chance) - now;
            prop_assert!((5_000..18 * 60_000).contains(&wait));
        }
    }
}
