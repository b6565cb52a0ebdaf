//! How many failures are free, and how long the others wait.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the throttle does to whom. A *pair* is a login from an address (IPv6: a /64).
///
/// Of each kind: so many failures are `free`; then a wait of `first`, which doubles with each
/// further failure up to `longest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the three kinds are one, described above")]
pub struct Rules {
    pub pair_free: u32,
    #[serde(with = "kit::config::duration")]
    pub pair_first: Duration,
    #[serde(with = "kit::config::duration")]
    pub pair_longest: Duration,
    pub address_free: u32,
    #[serde(with = "kit::config::duration")]
    pub address_first: Duration,
    #[serde(with = "kit::config::duration")]
    pub address_longest: Duration,
    pub login_free: u32,
    #[serde(with = "kit::config::duration")]
    pub login_first: Duration,
    #[serde(with = "kit::config::duration")]
    pub login_longest: Duration,
    /// One failure is forgiven each time this passes.
    #[serde(with = "kit::config::duration")]
    pub forgive: Duration,
    /// How long a success counts as recent.
    #[serde(with = "kit::config::duration")]
    pub trust: Duration,
    /// How many logins of one address may wait at the same time; more are refused, so that
    /// guessing in parallel gains nothing.
    pub max_waiting: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            // Two typing errors are free; 15 s stay below the patience of mail clients (30 s).
            pair_free: 2,
            pair_first: Duration::from_secs(1),
            pair_longest: Duration::from_secs(15),
            // An office or a carrier's NAT has some users with an old password.
            address_free: 10,
            address_first: Duration::from_secs(1),
            address_longest: Duration::from_secs(15),
            // What the user of an attacked account waits at a new place: short.
            login_free: 20,
            login_first: Duration::from_millis(250),
            login_longest: Duration::from_secs(2),
            forgive: Duration::from_secs(60),
            // Mail clients come at least daily.
            trust: Duration::from_secs(24 * 3600),
            max_waiting: 8,
        }
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
