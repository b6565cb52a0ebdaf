//! The log's bounds.

/// Large enough that creating one is rare, small enough that reclaim and a rebuild work in steps.
const SEGMENT_BYTES: u64 = 128 << 20;

/// Above this, one write takes longer than the sync that it saves.
const GROUP_BYTES: u64 = 16 << 20;

/// Half of what one vectored write takes (`IOV_MAX` is 1,024; a record needs two slices).
const GROUP_RECORDS: usize = 512;

/// Several groups: who comes later would wait longer than a caller's patience.
const QUEUE_RECORDS: usize = 8192;

/// What may wait in memory.
const QUEUE_BYTES: u64 = 256 << 20;

/// Bounds of one log.
#[derive(Debug, Clone)]
pub struct Options {
    /// A group that would make a segment larger than this starts a new one.
    pub segment_bytes: u64,
    /// Most payload octets of a group, but for a single record that is larger.
    pub group_bytes: u64,
    /// Most records of a group.
    pub group_records: usize,
    /// Most records that wait; beyond, `submit` answers `Overloaded`.
    pub queue_records: usize,
    /// Most payload octets that wait, but for a single record that is larger.
    pub queue_bytes: u64,
    /// Opening writes no mark: the first record does its work. Then a log whose owner is not let in
    /// ends where it ended, and one on a full disk opens to be read.
    pub quiet: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: SEGMENT_BYTES,
            group_bytes: GROUP_BYTES,
            group_records: GROUP_RECORDS,
            queue_records: QUEUE_RECORDS,
            queue_bytes: QUEUE_BYTES,
            quiet: false,
        }
    }
}
