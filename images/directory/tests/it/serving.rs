//! The stream that says which shards serve.

use std::time::Duration;

use kit::services::directory_client::DirectoryClient;
use kit::services::registry_client::RegistryClient;
use tonic::{Code, Status, Streaming};
use wire::identity::Tier;
use wire::rpc::{FollowShardsReply, FollowShardsRequest, RenewLeaseRequest, ShardWord};

use crate::lagging::replicas;
use crate::world::World;

/// Far above the time between two heartbeats.
const PATIENCE: Duration = Duration::from_secs(30);

async fn follow(world: &World) -> Streaming<FollowShardsReply> {
    let mut client = DirectoryClient::new(world.channel(Tier::Mx, "mx-0"));
    let replies = client.follow_shards(FollowShardsRequest {}).await;
    replies.unwrap().into_inner()
}

async fn next(replies: &mut Streaming<FollowShardsReply>) -> Result<Vec<ShardWord>, Status> {
    let reply = tokio::time::timeout(PATIENCE, replies.message()).await;
    let reply = reply.expect("the stream is silent")?;
    Ok(reply.expect("the stream ended").shards)
}

async fn say(world: &World, shard: &str, incarnation: u64, serving: bool) {
    let request = RenewLeaseRequest {
        incarnation,
        serving,
    };
    let mut registry = RegistryClient::new(world.channel(Tier::Storage, shard));
    registry.renew_lease(request).await.unwrap();
}

#[tokio::test]
async fn all_words_first_then_each_change_and_a_heartbeat() {
    let world = World::start().await;
    let _one = world.shard("shard-1").await;
    let _two = world.shard("shard-2").await;
    let mut replies = follow(&world).await;
    let mut first = next(&mut replies).await.unwrap();
    first.sort_by(|one, other| one.shard.cmp(&other.shard));
    let word = |shard: &str, serving| ShardWord {
        shard: shard.to_owned(),
        incarnation: 1,
        serving,
        rpc_endpoint: "127.0.0.1:1".to_owned(),
    };
    assert_eq!(first, [word("shard-1", false), word("shard-2", false)]);
    say(&world, "shard-2", 1, true).await;
    assert_eq!(next(&mut replies).await.unwrap(), [word("shard-2", true)]);
    assert_eq!(next(&mut replies).await.unwrap(), []);
    // A second follower begins with what holds then.
    let mut others = next(&mut follow(&world).await).await.unwrap();
    others.sort_by(|one, other| one.shard.cmp(&other.shard));
    assert_eq!(others, [word("shard-1", false), word("shard-2", true)]);
}

#[tokio::test]
async fn a_replica_that_is_behind_ends_the_stream() {
    let (first, second, lagging) = replicas().await;
    let _shard = first.shard("shard-1").await;
    let mut replies = follow(&second).await;
    assert_eq!(next(&mut replies).await.unwrap().len(), 1);
    lagging.hold();
    say(&first, "shard-1", 1, true).await;
    let ended = loop {
        match next(&mut replies).await {
            Ok(words) => assert_eq!(words, []),
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), Code::Unavailable, "{ended}");
}
