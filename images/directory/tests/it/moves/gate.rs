//! Stands between a driver of moves and all that it acts on: names what it does, in order, and
//! holds it just before or just after one of them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use wire::rpc::MovePhase;

use crate::store_suite::PATIENCE;

/// Where a driver is held; effects count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    Nowhere,
    Before(usize),
    After(usize),
}

/// Moves whose copies are under way, by key, and the most there were at a time.
#[derive(Default)]
struct Copying {
    now: HashSet<String>,
    most: usize,
}

/// Copies that are still to break off, how long each lasts, and the time that they have taken.
#[derive(Default)]
struct Breaking {
    copies: u32,
    lasting: Duration,
    taken: Duration,
}

pub(crate) struct Gate {
    hold: Hold,
    names: Mutex<Vec<String>>,
    copying: Mutex<Copying>,
    breaking: Mutex<Breaking>,
    /// Digests of each shard that are still to be pending.
    pending: Mutex<HashMap<String, u32>>,
    held: watch::Sender<bool>,
    open: watch::Sender<bool>,
}

impl Gate {
    pub(crate) fn new(hold: Hold) -> Arc<Self> {
        Self::with(hold, Breaking::default(), HashMap::new())
    }

    /// So many copies break off, each after it has lasted so long by the driver's clock and brought
    /// a message.
    pub(crate) fn breaking_off(copies: u32, lasting: Duration) -> Arc<Self> {
        let breaking = Breaking {
            copies,
            lasting,
            taken: Duration::ZERO,
        };
        Self::with(Hold::Nowhere, breaking, HashMap::new())
    }

    /// Shards say so many times that their digests are pending.
    pub(crate) fn pending<const N: usize>(digests: [(&str, u32); N]) -> Arc<Self> {
        let pending = digests.map(|(shard, times)| (shard.to_owned(), times));
        Self::with(Hold::Nowhere, Breaking::default(), pending.into())
    }

    fn with(hold: Hold, breaking: Breaking, pending: HashMap<String, u32>) -> Arc<Self> {
        Arc::new(Self {
            hold,
            names: Mutex::default(),
            copying: Mutex::default(),
            breaking: Mutex::new(breaking),
            pending: Mutex::new(pending),
            held: watch::Sender::new(false),
            open: watch::Sender::new(false),
        })
    }

    /// What was done so far.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.lock().clone()
    }

    /// The most copies that were under way at a time.
    pub(crate) fn most_copies(&self) -> usize {
        self.copying.lock().most
    }

    /// Whether the next copy breaks off; the time that it lasts is over then.
    pub(super) fn breaks_off(&self) -> bool {
        let mut guard = self.breaking.lock();
        let breaking = &mut *guard;
        let breaks = breaking.copies > 0;
        if breaks {
            breaking.copies -= 1;
            breaking.taken += breaking.lasting;
        }
        breaks
    }

    /// Whether the shard's next digest is pending.
    pub(super) fn is_pending(&self, shard: &str) -> bool {
        let mut pending = self.pending.lock();
        match pending.get_mut(shard) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }

    /// The time that copies took which broke off.
    pub(super) fn taken_ms(&self) -> i64 {
        let taken = self.breaking.lock().taken;
        taken.as_millis().try_into().unwrap()
    }

    /// A move's record is to be written.
    pub(super) fn writes(&self, key: &str, phase: MovePhase) {
        let mut copying = self.copying.lock();
        match phase {
            MovePhase::Planned => {}
            MovePhase::Copying | MovePhase::Fencing | MovePhase::Verified => {
                copying.now.insert(key.to_owned());
            }
            _ => {
                copying.now.remove(key);
            }
        }
        copying.most = copying.most.max(copying.now.len());
    }

    /// Waits until the driver is held.
    pub(crate) async fn reached(&self) {
        let mut held = self.held.subscribe();
        let reached = tokio::time::timeout(PATIENCE, held.wait_for(|held| *held)).await;
        let found = self.names();
        reached
            .unwrap_or_else(|_| panic!("never {:?}, only {found:?}", self.hold))
            .unwrap();
    }

    /// Lets it go on.
    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    /// Does what has this name, when it may.
    pub(super) async fn effect<T>(
        &self,
        name: impl Into<String>,
        act: impl Future<Output = T>,
    ) -> T {
        let number = {
            let mut names = self.names.lock();
            names.push(name.into());
            names.len()
        };
        self.pass(Hold::Before(number)).await;
        let done = act.await;
        self.pass(Hold::After(number)).await;
        done
    }

    async fn pass(&self, at: Hold) {
        if self.hold == at {
            self.held.send_replace(true);
            let mut open = self.open.subscribe();
            // The sender is in `self`.
            let _ = open.wait_for(|open| *open).await;
        }
    }
}
