//! How to reach etcd, and how long to wait for it.

use std::time::Duration;

use kit::tls::IdentityFiles;

/// One read, with all its attempts: two syncs of a disk that needs some seconds for each. Whoever
/// has less patience says so.
const READ_TIMEOUT: Duration = Duration::from_secs(8);

/// One write. Callers of the directory wait 5 s at most.
const WRITE_TIMEOUT: Duration = Duration::from_secs(4);

/// One attempt of a read: when a member is slower than this, another is asked too.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1500);

/// One TCP and TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// One page of a load; etcd counts the rest of the range for each.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Entries of one page: few pages, because of that count; some 30 MB each.
const PAGE_ENTRIES: usize = 100_000;

/// A watch that is not told to have reached a revision that exists is given up after this.
const STALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a watch that is behind asks where it is.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(20);

/// Where etcd is, whose keys are ours, and all timings.
#[derive(Debug, Clone)]
pub struct Options {
    /// `http://HOST:PORT` or `https://HOST:PORT`, one per member; at least one.
    pub endpoints: Vec<String>,
    /// Every key of this cluster starts with it, such as `/buzonera/example/`. Not empty.
    pub prefix: String,
    /// For `https`; read again for every new connection, so that renewed ones take effect.
    pub tls: Option<IdentityFiles>,
    /// One read, with all its attempts; and the opening of a watch.
    pub read_timeout: Duration,
    /// One write, with all its attempts.
    pub write_timeout: Duration,
    /// One attempt of a read, before another member is asked too.
    pub attempt_timeout: Duration,
    /// One TCP and TLS handshake.
    pub connect_timeout: Duration,
    /// One page of a load.
    pub page_timeout: Duration,
    /// Entries of one page of a load.
    pub page_entries: usize,
    /// A watch that is behind for so long ends.
    pub stall_timeout: Duration,
    /// How often a watch that is behind asks where it is.
    pub progress_interval: Duration,
}

impl Options {
    /// The defaults, without TLS.
    pub fn new(endpoints: Vec<String>, prefix: impl Into<String>) -> Self {
        Self {
            endpoints,
            prefix: prefix.into(),
            tls: None,
            read_timeout: READ_TIMEOUT,
            write_timeout: WRITE_TIMEOUT,
            attempt_timeout: ATTEMPT_TIMEOUT,
            connect_timeout: CONNECT_TIMEOUT,
            page_timeout: PAGE_TIMEOUT,
            page_entries: PAGE_ENTRIES,
            stall_timeout: STALL_TIMEOUT,
            progress_interval: PROGRESS_INTERVAL,
        }
    }
}
