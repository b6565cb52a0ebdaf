//! What a shard tells of its opening stands until its lease is granted.

use buzonera_directory::model::Key;
use buzonera_directory::model::records::OpeningRecord;
use kit::services::registry_server::Registry as _;
use tonic::{Code, Status};
use wire::rpc::opening::How;
use wire::rpc::{Opening, Recovers, ShardState, TellOpeningRequest};

use super::{World, from};

fn key() -> Key {
    Key::Opening("shard-1".parse().unwrap())
}

impl World {
    async fn opens(&self, shard: &str, percent: u32) -> Result<(), Status> {
        let recovers = Recovers {
            percent,
            minutes_left: Some(3),
        };
        let how = Some(How::Recovers(recovers));
        let request = TellOpeningRequest {
            opening: Some(Opening { how }),
        };
        let told = self.registry.tell_opening(from(shard, request)).await;
        told.map(drop)
    }

    async fn told(&self) -> Option<OpeningRecord> {
        self.read(key()).await
    }
}

#[tokio::test]
async fn it_vanishes_with_the_lease() {
    let world = World::embedded().await;
    assert_eq!(world.granted("shard-1", 0, "boot-a").await, 1);
    // The next run opens while the last one's lease has not ended.
    for percent in [40, 41] {
        world.opens("shard-1", percent).await.unwrap();
        let how = world.told().await.unwrap().opening.unwrap().how.unwrap();
        assert!(matches!(how, How::Recovers(told) if told.percent == percent));
    }
    assert_eq!(world.granted("shard-1", 1, "boot-a").await, 2);
    assert_eq!(world.told().await, None);
}

#[tokio::test]
async fn nothing_is_kept_of_a_shard_that_nobody_expects() {
    let world = World::embedded().await;
    world.set_state("shard-1", ShardState::Retired).await;
    for shard in ["shard-1", "shard-9"] {
        let refused = world.opens(shard, 1).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    }
    assert_eq!(world.told().await, None);
}
