//! The bounds of an embedded store.

/// Small enough that carrying the living out of one is quick.
const SEGMENT_BYTES: u64 = 16 << 20;

/// A reader that was away for so many transactions loads again.
const HISTORY_TRANSACTIONS: usize = 16_384;

/// What the history may hold in memory.
const HISTORY_BYTES: usize = 16 << 20;

/// A log below this is left as it is.
const RECLAIM_BYTES: u64 = 64 << 20;

/// Calls that wait for the store; beyond, a call is told to come again.
const QUEUE: usize = 4096;

/// The bounds of an embedded store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Octets of one segment of the log, about; at most 1 GiB.
    pub segment_bytes: u64,
    /// Most transactions that are remembered for watches.
    pub history_transactions: usize,
    /// Most octets of them.
    pub history_bytes: usize,
    /// A log larger than this, and than twice what is alive in it, loses its oldest segments.
    pub reclaim_bytes: u64,
    /// Most calls that wait.
    pub queue: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: SEGMENT_BYTES,
            history_transactions: HISTORY_TRANSACTIONS,
            history_bytes: HISTORY_BYTES,
            reclaim_bytes: RECLAIM_BYTES,
            queue: QUEUE,
        }
    }
}
