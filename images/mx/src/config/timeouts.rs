//! How long things may take.

use std::time::Duration;

use super::{ANSWER, Check};

kit::settings! {
    /// How long things may take. None of the client's is shorter than RFC 5321 section 4.5.3.2 asks.
    pub struct Timeouts {
        /// Silence while a command is awaited.
        pub command: Duration as DURATION = COMMAND,
        /// Silence within a message.
        pub data: Duration as DURATION = DATA,
        /// For a client to take our replies.
        pub write: Duration as DURATION = WRITE,
        /// For a TLS handshake.
        pub handshake: Duration as DURATION = HANDSHAKE,
        /// From the beginning of a shard's absence, for how long its mail waits in memory; after
        /// that, and for a shard that hangs, it goes to the spool at once.
        pub wait_for_shard: Duration as DURATION = WAIT_FOR_SHARD,
        /// After the final dot, until what is not yet stored goes to the spool.
        pub spool_after: Duration as DURATION = SPOOL_AFTER,
        /// After the final dot, until LMTP's answer, which never spools.
        pub lmtp_answer: Duration as DURATION = LMTP_ANSWER,
        /// For one attempt to deliver what is spooled.
        pub spool_attempt: Duration as DURATION = SPOOL_ATTEMPT,
        /// Of a whole session.
        pub session: Duration as DURATION = SESSION,
    }
}

/// RFC 5321 section 4.5.3.2.7.
const COMMAND: Duration = Duration::from_secs(5 * 60);
/// RFC 5321 section 4.5.3.2.5.
const LEAST_DATA: Duration = Duration::from_secs(3 * 60);
/// As for commands.
const DATA: Duration = Duration::from_secs(5 * 60);
/// The kernel takes a reply at once unless the client reads none.
const WRITE: Duration = Duration::from_secs(5 * 60);
/// A few round trips across the world, with losses.
const HANDSHAKE: Duration = Duration::from_secs(60);
/// A shard that was killed and started again at once is back within it, and no client notices.
const WAIT_FOR_SHARD: Duration = Duration::from_secs(5);
/// With the spool's sync the answer comes well within 60 s.
const SPOOL_AFTER: Duration = Duration::from_secs(30);
/// Within 60 s too.
const LMTP_ANSWER: Duration = Duration::from_secs(50);
/// The largest message over a slow link; the spool's own limit, 5 minutes, is above it.
const SPOOL_ATTEMPT: Duration = Duration::from_secs(120);
/// A client that drips octets holds a place no longer than this.
const SESSION: Duration = Duration::from_secs(4 * 3600);

impl Timeouts {
    pub(super) fn checks(&self) -> Vec<Check> {
        vec![
            (
                "timeouts.command",
                self.command < COMMAND,
                "5m at least (RFC 5321)",
            ),
            (
                "timeouts.data",
                self.data < LEAST_DATA,
                "3m at least (RFC 5321)",
            ),
            (
                "timeouts.spool-after",
                self.spool_after >= ANSWER,
                "below 1m",
            ),
            (
                "timeouts.lmtp-answer",
                self.lmtp_answer >= ANSWER,
                "below 1m",
            ),
        ]
    }
}
