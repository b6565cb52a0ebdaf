//! How many Deliver calls run at once, in all and to one shard.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wire::ids::ShardName;

/// What part of all calls one shard may have: a shard that hangs keeps its share until the calls
/// time out, and the others go on with the rest.
const SHARE: usize = 4;

/// The calls of a courier.
#[derive(Debug)]
pub(super) struct Calls {
    all: Arc<Semaphore>,
    of_each: usize,
    /// Few: it knows only shards that accounts were on.
    shards: Mutex<HashMap<ShardName, Arc<Semaphore>>>,
}

/// A call's places; dropping them frees them.
#[derive(Debug)]
pub(super) struct Places {
    _of_shard: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Calls {
    pub(super) fn new(max: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(max)),
            of_each: max.div_ceil(SHARE),
            shards: Mutex::default(),
        }
    }

    /// Waits for a place; who waits for one shard takes none from another. None: never closed in
    /// fact.
    pub(super) async fn enter(&self, shard: &ShardName) -> Option<Places> {
        let of_shard = self.of_shard(shard).acquire_owned().await.ok()?;
        let of_all = self.all.clone().acquire_owned().await.ok()?;
        Some(Places {
            _of_shard: of_shard,
            _of_all: of_all,
        })
    }

    fn of_shard(&self, shard: &ShardName) -> Arc<Semaphore> {
        let mut shards = self.shards.lock();
        if let Some(known) = shards.get(shard) {
            return known.clone();
        }
        let new = Arc::new(Semaphore::new(self.of_each));
        shards.insert(shard.clone(), new.clone());
        new
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn a_shard_that_hangs_leaves_room_for_others() {
        let calls = Calls::new(8);
        let (hangs, other) = ("shard-1".parse().unwrap(), "shard-2".parse().unwrap());
        let enter = |shard| calls.enter(shard).now_or_never().flatten();
        let held = [enter(&hangs).unwrap(), enter(&hangs).unwrap()];
        assert!(enter(&hangs).is_none());
        let _other = [enter(&other).unwrap(), enter(&other).unwrap()];
        drop(held);
        assert!(enter(&hangs).is_some());
    }

    #[test]
    fn all_together_are_bounded() {
        let calls = Calls::new(2);
        let shards = ["shard-1", "shard-2", "shard-3"].map(|name| name.parse().unwrap());
        let enter = |shard| calls.enter(shard).now_or_never().flatten();
        let held: Vec<_> = shards.iter().filter_map(enter).collect();
        assert_eq!(held.len(), 2);
    }
}
