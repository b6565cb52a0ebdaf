//! Which shards serve, as every replica knows.

use std::sync::Arc;

use buzonera_directory::model::Key;
use buzonera_directory::model::records::LeaseRecord;
use wire::rpc::renew_lease_reply::Result as Renewed;
use wire::rpc::{RenewLeaseRequest, ShardWord};

use super::World;

impl World {
    async fn says(&self, incarnation: u64, serving: bool) {
        let request = RenewLeaseRequest {
            incarnation,
            serving,
        };
        assert!(matches!(self.renew(request).await, Renewed::Renewed(_)));
    }

    /// Waits until this replica's word on shard-1 is that.
    async fn knows(&self, incarnation: u64, serving: bool) {
        let mut words = self.registry.shared.words();
        let word = || {
            let map = self.registry.shared.read();
            let shard = map.shard(&"shard-1".parse().unwrap());
            shard.and_then(|shard| shard.word())
        };
        let known = async {
            let known = |word: ShardWord| (word.incarnation, word.serving);
            while word().map(known) != Some((incarnation, serving)) {
                words.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(crate::store_suite::PATIENCE, known).await;
        assert!(waited.is_ok(), "{incarnation} {serving}: {:?}", word());
    }
}

#[tokio::test]
async fn another_replica_knows_too_and_each_incarnation_begins_anew() {
    let first = World::embedded().await;
    let second = World::over(Arc::clone(&first.store), None).await;
    let one = first.granted("shard-1", 0, "boot-a").await;
    second.knows(one, false).await;
    first.says(one, true).await;
    second.knows(one, true).await;
    // Whichever replica is told.
    second.says(one, false).await;
    first.knows(one, false).await;
    first.says(one, true).await;
    first.knows(one, true).await;
    let two = second.granted("shard-1", one, "boot-a").await;
    first.knows(two, false).await;
    second.says(two, true).await;
    first.knows(two, true).await;
}

#[tokio::test]
async fn the_word_ends_with_the_lease_and_comes_again_with_it() {
    let world = World::embedded().await;
    let one = world.granted("shard-1", 0, "boot-a").await;
    world.says(one, true).await;
    world.knows(one, true).await;
    // Nobody renews: the lease runs out.
    world.knows(one, false).await;
    let lease: Option<LeaseRecord> = world.read(Key::Lease("shard-1".parse().unwrap())).await;
    assert!(lease.is_none(), "{lease:?}");
    world.says(one, true).await;
    world.knows(one, true).await;
}
