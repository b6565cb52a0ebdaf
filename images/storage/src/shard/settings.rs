//! What a shard may be told, and why the defaults are what they are.

use std::time::Duration;

/// Accounts kept in memory besides those at work; one is well below a kilobyte.
pub const KEPT_ACCOUNTS: usize = 50_000;

/// How long a request waits for a fence, or for the directory's word, to come.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A delivery is remembered this long: a sender's five days, the spool's five, and slack.
pub const REMEMBERED: Duration = Duration::from_secs(12 * 24 * 3600);

/// Octets of heap between two syncs of the index.
pub const CHECKPOINT_BYTES: u64 = 64 << 20;

kit::settings! {
    /// What a shard may be told, mostly so that tests are quick.
    pub struct Settings {
        /// Accounts kept in memory.
        pub kept_accounts: usize as "N" = KEPT_ACCOUNTS,
        /// How long a write waits for a fence to end.
        pub patience: Duration as DURATION = PATIENCE,
        /// How long delivery ids are remembered.
        pub remembered: Duration as DURATION = REMEMBERED,
        /// Heap written between syncs of the index.
        pub checkpoint_bytes: u64 as SIZE = CHECKPOINT_BYTES,
    }
}
