//! How long POP3 waits, and for whom.

use std::time::Duration;

use kit::config::Problem;
use kit::listener::KeepAlive;
use serde::{Deserialize, Serialize};

/// RFC 1939 section 3: an autologout timer is of 10 minutes at least.
pub const IDLE: Duration = Duration::from_secs(600);

/// From connecting to the end of AUTH; proxies do not think.
pub const LOGIN: Duration = Duration::from_secs(30);

/// How long a client may take to accept octets. The proxy between us buffers little, so this is
/// the patience with a slow reader: 64 KB in it are 550 octets a second.
pub const WRITE: Duration = Duration::from_secs(120);

/// While the shard closes: a program that works through a mailbox says its next command at once,
/// and whoever says nothing for so long is shown out, so that the shard is soon back.
pub(super) const QUIET: Duration = Duration::from_secs(2);

/// The times of all sessions, and when a peer is taken for dead.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Times {
    /// A client that says nothing for so long is logged out; nothing is deleted. See [`IDLE`].
    #[serde(with = "kit::config::duration")]
    pub idle: Duration,
    /// See [`LOGIN`].
    #[serde(with = "kit::config::duration")]
    pub login: Duration,
    /// See [`WRITE`].
    #[serde(with = "kit::config::duration")]
    pub write: Duration,
    /// See [`KeepAlive::idle`].
    #[serde(with = "kit::config::duration")]
    pub keep_alive_idle: Duration,
    /// See [`KeepAlive::interval`].
    #[serde(with = "kit::config::duration")]
    pub keep_alive_interval: Duration,
    /// See [`KeepAlive::probes`].
    pub keep_alive_probes: u32,
    /// See [`KeepAlive::user_timeout`].
    #[serde(with = "kit::config::duration")]
    pub user_timeout: Duration,
}

impl Default for Times {
    fn default() -> Self {
        let KeepAlive {
            idle,
            interval,
            probes,
            user_timeout,
        } = KeepAlive::default();
        Self {
            idle: IDLE,
            login: LOGIN,
            write: WRITE,
            keep_alive_idle: idle,
            keep_alive_interval: interval,
            keep_alive_probes: probes,
            user_timeout,
        }
    }
}

impl Times {
    /// How a dead peer is noticed.
    pub fn keep_alive(&self) -> KeepAlive {
        KeepAlive {
            idle: self.keep_alive_idle,
            interval: self.keep_alive_interval,
            probes: self.keep_alive_probes,
            user_timeout: self.user_timeout,
        }
    }

    /// Values that the kernel refuses, or with which no session would last.
    pub(crate) fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (key, time) in [
            ("pop3.idle", self.idle),
            ("pop3.login", self.login),
            ("pop3.write", self.write),
            ("pop3.user-timeout", self.user_timeout),
        ] {
            if time.is_zero() {
                problems.push(Problem::of(key, "must be above 0"));
            }
        }
        for (key, time) in [
            ("pop3.keep-alive-idle", self.keep_alive_idle),
            ("pop3.keep-alive-interval", self.keep_alive_interval),
        ] {
            if time.as_secs() == 0 {
                problems.push(Problem::of(
                    key,
                    "the kernel counts whole seconds: 1s at least",
                ));
            }
        }
        if self.keep_alive_probes == 0 {
            problems.push(Problem::of("pop3.keep-alive-probes", "must be 1 at least"));
        }
        problems
    }
}
