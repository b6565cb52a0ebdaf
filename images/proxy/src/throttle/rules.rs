//! How many failures are free, and how long the others wait.

use std::time::Duration;

kit::settings! {
    /// What the throttle does to whom. A *pair* is a login from an address (IPv6: a /64).
    ///
    /// Of each kind: so many failures are `free`; then a wait of `first`, which doubles with each
    /// further failure up to `longest`.
    #[derive(PartialEq, Eq)]
    pub struct Rules {
        // Two typing errors are free; 15 s stay below the patience of mail clients (30 s).
        /// Failures of one login from one address without a wait.
        pub pair_free: u32 as "N" = 2,
        /// First wait after them; it doubles.
        pub pair_first: Duration as DURATION = Duration::from_secs(1),
        /// Longest wait.
        pub pair_longest: Duration as DURATION = Duration::from_secs(15),
        // An office or a carrier's NAT has some users with an old password.
        /// Failures from one address without a wait.
        pub address_free: u32 as "N" = 10,
        /// First wait after them; it doubles.
        pub address_first: Duration as DURATION = Duration::from_secs(1),
        /// Longest wait.
        pub address_longest: Duration as DURATION = Duration::from_secs(15),
        // What the user of an attacked account waits at a new place: short.
        /// Failures of one login without a wait.
        pub login_free: u32 as "N" = 20,
        /// First wait after them; it doubles.
        pub login_first: Duration as DURATION = Duration::from_millis(250),
        /// Longest wait.
        pub login_longest: Duration as DURATION = Duration::from_secs(2),
        /// One failure is forgiven each time this passes.
        pub forgive: Duration as DURATION = Duration::from_secs(60),
        // Mail clients come at least daily.
        /// How long a success counts as recent.
        pub trust: Duration as DURATION = Duration::from_secs(24 * 3600),
        /// How many logins of one address may wait at the same time; more are refused, so that
        /// guessing in parallel gains nothing.
        pub max_waiting: u32 as "N" = 8,
    }
}

/// How failures of one kind become a wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    free: u32,
    first: Duration,
    longest: Duration,
}

impl Rules {
    pub(super) fn pair(&self) -> Rule {
        Rule {
            free: self.pair_free,
            first: self.pair_first,
            longest: self.pair_longest,
        }
    }

    pub(super) fn address(&self) -> Rule {
        Rule {
            free: self.address_free,
            first: self.address_first,
            longest: self.address_longest,
        }
    }

    pub(super) fn login(&self) -> Rule {
        Rule {
            free: self.login_free,
            first: self.login_first,
            longest: self.login_longest,
        }
    }
}

impl Rule {
    pub(super) fn wait(self, failures: u32) -> Duration {
        match failures.checked_sub(self.free) {
            None | Some(0) => Duration::ZERO,
            Some(over) => {
                let factor = 1_u32.checked_shl(over - 1).unwrap_or(u32::MAX);
                self.first.saturating_mul(factor).min(self.longest)
            }
        }
    }
}
