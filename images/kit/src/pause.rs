//! Pauses between attempts that fail.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// Pauses that double, each shortened by chance to between half and all of it: those who failed
/// together do not come back in step.
#[derive(Debug, Clone)]
pub struct Pauses {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Pauses {
    /// From `first` to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    /// The pause after one more failure.
    pub fn after_failure(&mut self) -> Duration {
        let pause = self.next;
        self.next = (self.next * 2).min(self.longest);
        spread(pause, chance())
    }

    /// It went well: the next failure is a first one.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

/// A pause of this length, shortened by chance to between half and all of it.
pub fn some_of(pause: Duration) -> Duration {
    spread(pause, chance())
}

/// A time of this length, shortened by chance to between three quarters and all of it: for what
/// comes round again and again.
pub fn most_of(time: Duration) -> Duration {
    time / 2 + spread(time / 2, chance())
}

/// `chance` is from 0 up to 1.
fn spread(pause: Duration, chance: f64) -> Duration {
    pause.mul_f64(0.5 + chance / 2.0)
}

/// From 0 up to 1, good enough to spread load by.
fn chance() -> f64 {
    // Each of these hashers has a key of its own.
    let random = RandomState::new().hash_one(());
    (random >> 40) as f64 / (1u64 << 24) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(5);

    #[test]
    fn pauses_double_up_to_a_bound_and_begin_anew() {
        let mut pauses = Pauses::new(FIRST, LONGEST);
        for full in [1, 2, 4, 5, 5].map(Duration::from_secs) {
            let pause = pauses.after_failure();
            assert!(full / 2 <= pause && pause <= full, "{pause:?} of {full:?}");
        }
        pauses.reset();
        assert!(pauses.after_failure() <= FIRST);
    }

    #[test]
    fn most_is_not_much_less() {
        for _ in 0..100 {
            let most = most_of(LONGEST);
            assert!(LONGEST * 3 / 4 <= most && most <= LONGEST, "{most:?}");
        }
    }

    #[test]
    fn pauses_differ() {
        let pauses: std::collections::HashSet<_> = (0..100).map(|_| some_of(LONGEST)).collect();
        assert!(pauses.len() > 90, "{}", pauses.len());
    }
}
