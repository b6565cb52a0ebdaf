//! The replica around the driver of moves: its map, its channels, its clock.

use std::sync::Arc;

use kit::rpc::{BadEndpoint, Channel, ShardChannels};
use tokio::sync::{Mutex, watch};
use wire::ids::{AccountId, ShardName};
use wire::rpc::{MoveLimits, MovePhase};

use super::World;
use super::limits::effective;
use crate::map::Shared;
use crate::store::Revision;

/// A directory replica as the driver of moves sees it.
pub struct Replica {
    shared: Arc<Shared>,
    reached: Mutex<watch::Receiver<Revision>>,
    channels: ShardChannels,
}

impl Replica {
    /// The replica with this map, which calls shards over these channels.
    pub fn new(shared: Arc<Shared>, channels: ShardChannels) -> Self {
        let reached = Mutex::new(shared.reached());
        Self {
            shared,
            reached,
            channels,
        }
    }
}

impl World for Replica {
    fn open_moves(&self) -> Vec<(AccountId, MovePhase)> {
        let map = self.shared.read();
        let open = map.open_moves();
        open.map(|(account, record)| (account, record.phase()))
            .collect()
    }

    fn ends(&self, account: AccountId) -> Option<(ShardName, ShardName)> {
        let map = self.shared.read();
        let record = map.move_of(account)?;
        Some((record.source.parse().ok()?, record.target.parse().ok()?))
    }

    fn holds_lease(&self, shard: &ShardName) -> bool {
        let map = self.shared.read();
        map.shard(shard)
            .is_some_and(|shard| shard.lease().is_some())
    }

    fn limits(&self) -> MoveLimits {
        effective(self.shared.read().move_limits())
    }

    fn bringing(&self, target: &ShardName, except: AccountId) -> u64 {
        self.shared.read().bringing(target, except)
    }

    async fn changed(&self) {
        let mut reached = self.reached.lock().await;
        // The map lives as long as this does, so its news do not end.
        let _ = reached.changed().await;
    }

    fn channel(&self, shard: &ShardName, endpoint: &str) -> Result<Channel, BadEndpoint> {
        self.channels.get(shard, endpoint)
    }

    fn now_ms(&self) -> i64 {
        kit::clock::unix_ms()
    }
}
