//! What a shard may be told, and why the defaults are what they are.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Accounts kept in memory besides those at work; one is well below a kilobyte.
pub const KEPT_ACCOUNTS: usize = 50_000;

/// How long a request waits for a fence, or for the directory's word, to come.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A delivery is remembered this long: a sender's five days, the spool's five, and slack.
pub const REMEMBERED: Duration = Duration::from_secs(12 * 24 * 3600);

/// Octets of heap between two syncs of the index.
pub const CHECKPOINT_BYTES: u64 = 64 << 20;

/// What a shard may be told, mostly so that tests are quick.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// See [`KEPT_ACCOUNTS`].
    pub kept_accounts: usize,
    /// See [`PATIENCE`].
    #[serde(with = "kit::config::duration")]
    pub patience: Duration,
    /// See [`REMEMBERED`].
    #[serde(with = "kit::config::duration")]
    pub remembered: Duration,
    /// See [`CHECKPOINT_BYTES`].
    #[serde(with = "kit::config::size")]
    pub checkpoint_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kept_accounts: KEPT_ACCOUNTS,
            patience: PATIENCE,
            remembered: REMEMBERED,
            checkpoint_bytes: CHECKPOINT_BYTES,
        }
    }
}
