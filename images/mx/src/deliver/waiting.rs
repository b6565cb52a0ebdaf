//! Messages that wait in memory for a shard that has just gone: how many, how large.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wire::ids::ShardName;

/// What part of all connections, and of the memory for bodies, one shard's mail may hold: that of
/// the others goes on with the rest.
const SHARE: usize = 4;

/// Bounds of what waits for each shard.
#[derive(Debug)]
pub(crate) struct WaitingRoom {
    messages: usize,
    kib: usize,
    /// Few: it knows only shards that were away.
    shards: Mutex<HashMap<ShardName, Bounds>>,
}

#[derive(Debug, Clone)]
struct Bounds {
    messages: Arc<Semaphore>,
    kib: Arc<Semaphore>,
}

/// A message's place; dropping it frees it.
#[derive(Debug)]
pub(crate) struct Place {
    _message: OwnedSemaphorePermit,
    _kib: OwnedSemaphorePermit,
}

impl WaitingRoom {
    /// For an MX with so many connections, and so many octets of bodies in memory.
    pub(crate) fn new(connections: usize, body_memory: u64) -> Self {
        let kib = usize::try_from(body_memory >> 10).unwrap_or(usize::MAX);
        Self {
            messages: connections.div_ceil(SHARE),
            kib: kib.div_ceil(SHARE).min(Semaphore::MAX_PERMITS),
            shards: Mutex::default(),
        }
    }

    /// A place for a message of so many octets, if there is one.
    pub(crate) fn enter(&self, shard: &ShardName, octets: u64) -> Option<Place> {
        let bounds = self.bounds(shard);
        let kib = u32::try_from(octets.div_ceil(1024)).ok()?;
        Some(Place {
            _message: bounds.messages.try_acquire_owned().ok()?,
            _kib: bounds.kib.try_acquire_many_owned(kib).ok()?,
        })
    }

    fn bounds(&self, shard: &ShardName) -> Bounds {
        let mut shards = self.shards.lock();
        if let Some(known) = shards.get(shard) {
            return known.clone();
        }
        let new = Bounds {
            messages: Arc::new(Semaphore::new(self.messages)),
            kib: Arc::new(Semaphore::new(self.kib)),
        };
        shards.insert(shard.clone(), new.clone());
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_has_its_own_bounds_of_number_and_octets() {
        let room = WaitingRoom::new(8, 40 << 10);
        let (one, two) = ("shard-1".parse().unwrap(), "shard-2".parse().unwrap());
        let first = room.enter(&one, 1).unwrap();
        let _second = room.enter(&one, 1024).unwrap();
        assert!(room.enter(&one, 1).is_none());
        drop(first);
        assert!(room.enter(&one, 9 << 10).is_some());
        assert!(room.enter(&one, (9 << 10) + 1).is_none());
        assert!(room.enter(&two, 10 << 10).is_some());
        assert!(room.enter(&two, u64::MAX).is_none());
    }
}
