//! Opening: from a snapshot and what the log says after it, or from the whole log.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use segments::{Disk, Log, Options, Position, Space};
use tokio::sync::{Notify, watch};

use crate::spool::config::{Clock, Config};
use crate::spool::queue::Queue;
use crate::spool::record;
use crate::spool::snapshot::{self, Snapshot};
use crate::spool::store::snapshots::Growth;
use crate::spool::store::{Inner, Inside, OpenError, Spool};

impl Spool {
    /// Recovers the queue from its snapshot and its log, or starts a new one. Blocks.
    pub fn open(disk: Arc<dyn Disk>, config: Config, clock: Clock) -> Result<Self, OpenError> {
        let (log, queue) = recover(&disk, &options(&config))?;
        let state = Inside {
            queue,
            ..Inside::default()
        };
        let unseen = Space {
            size: u64::MAX,
            free: u64::MAX,
        };
        let inner = Inner {
            disk,
            log: RwLock::new(log),
            growth: Growth::new(config.segment_bytes),
            config,
            clock,
            changed: Notify::new(),
            short: Notify::new(),
            grown: Notify::new(),
            space: Mutex::new(unseen),
            trouble: watch::Sender::new(None),
            returns: watch::Sender::new(0),
            state: Mutex::new(state),
        };
        let spool = Self {
            inner: Arc::new(inner),
        };
        spool.look_now();
        Ok(spool)
    }
}

pub(super) fn options(config: &Config) -> Options {
    Options {
        segment_bytes: config.segment_bytes,
        ..Options::default()
    }
}

/// The log and the queue as the disk has them. Blocks.
pub(super) fn recover(disk: &Arc<dyn Disk>, options: &Options) -> Result<(Log, Queue), OpenError> {
    if let Some(Snapshot { at, queue }) = snapshot::read(disk) {
        match replay(disk, options, Some(at), queue) {
            Ok((log, queue)) if is_whole(&log, &queue) => return Ok((log, queue)),
            Ok(_) => {
                tracing::warn!(
                    "the spool's snapshot names segments that are gone; reading the log"
                );
            }
            Err(OpenError::BadCheckpoint { from, reason, .. }) => {
                tracing::info!(%from, reason, "the spool's snapshot is too old; reading the log");
            }
            Err(error) => return Err(error),
        }
        snapshot::discard(&**disk);
    }
    replay(disk, options, None, Queue::default())
}

fn replay(
    disk: &Arc<dyn Disk>,
    options: &Options,
    from: Option<Position>,
    mut queue: Queue,
) -> Result<(Log, Queue), OpenError> {
    let disk = Arc::clone(disk);
    let log = Log::open(disk, options.clone(), from, &mut |at, record| {
        queue.apply(record::decode(at, &record)?);
        Ok(())
    })?;
    Ok((log, queue))
}

/// Whether every message is in a segment that is there.
fn is_whole(log: &Log, queue: &Queue) -> bool {
    let there = log.segments();
    let mut needed = queue.segments();
    needed.all(|id| there.iter().any(|segment| segment.id == id))
}
