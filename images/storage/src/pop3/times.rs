//! How long POP3 waits, and for whom.

use std::time::Duration;

use kit::config::Problem;
use kit::listener::KeepAlive;

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

kit::settings! {
    /// The times of all sessions, and when a peer is taken for dead.
    pub struct Times {
        /// A client that says nothing for so long is logged out, and nothing is deleted; 10m at
        /// least by RFC 1939.
        pub idle: Duration as DURATION = IDLE,
        /// From connecting to the end of AUTH.
        pub login: Duration as DURATION = LOGIN,
        /// How long a client may take to accept octets.
        pub write: Duration as DURATION = WRITE,
        /// Silence before a peer is probed.
        pub keep_alive_idle: Duration as DURATION = KeepAlive::default().idle,
        /// Between two probes.
        pub keep_alive_interval: Duration as DURATION = KeepAlive::default().interval,
        /// Unanswered probes until the peer is dead.
        pub keep_alive_probes: u32 as "N" = KeepAlive::default().probes,
        /// Sent and not acknowledged for so long: the peer is dead.
        pub user_timeout: Duration as DURATION = KeepAlive::default().user_timeout,
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
