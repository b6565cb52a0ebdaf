//! How long things may take.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ANSWER, Check};

/// How long things may take. None of the client's is shorter than RFC 5321 section 4.5.3.2 asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Timeouts {
    /// Silence while a command is awaited.
    #[serde(with = "kit::config::duration")]
    pub command: Duration,
    /// Silence within a body.
    #[serde(with = "kit::config::duration")]
    pub data: Duration,
    /// A client that does not take our replies.
    #[serde(with = "kit::config::duration")]
    pub write: Duration,
    /// A TLS handshake.
    #[serde(with = "kit::config::duration")]
    pub handshake: Duration,
    /// From the beginning of a shard's absence, for how long its mail waits in memory; after that,
    /// and for a shard that hangs, it goes to the spool at once.
    #[serde(with = "kit::config::duration")]
    pub wait_for_shard: Duration,
    /// After the final dot, until what is not yet stored goes to the spool.
    #[serde(with = "kit::config::duration")]
    pub spool_after: Duration,
    /// After the final dot, until LMTP's answer, which never spools.
    #[serde(with = "kit::config::duration")]
    pub lmtp_answer: Duration,
    /// For one attempt to deliver what is spooled.
    #[serde(with = "kit::config::duration")]
    pub spool_attempt: Duration,
    /// Of a whole session.
    #[serde(with = "kit::config::duration")]
    pub session: Duration,
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

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            command: COMMAND,
            data: DATA,
            write: WRITE,
            handshake: HANDSHAKE,
            wait_for_shard: WAIT_FOR_SHARD,
            spool_after: SPOOL_AFTER,
            lmtp_answer: LMTP_ANSWER,
            spool_attempt: SPOOL_ATTEMPT,
            session: SESSION,
        }
    }
}

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
