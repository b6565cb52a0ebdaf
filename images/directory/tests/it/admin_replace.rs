//! Another volume in place of the one that a shard served.

use std::time::Duration;

use buzonera_directory::Config;
use tonic::Code;
use wire::rpc::{
    AccountState, AddressName, ReplaceVolumeRequest, SetShardStateRequest, ShardInfo, ShardState,
};

use crate::world::{World, id, until};

fn quick(config: &mut Config) {
    config.registry.ttl = Duration::from_secs(1);
}

async fn replace(world: &World, name: &str) -> Result<ShardInfo, tonic::Status> {
    let request = ReplaceVolumeRequest {
        request_id: id(),
        name: name.to_owned(),
    };
    let reply = world.admin().replace_volume(request).await;
    reply.map(tonic::Response::into_inner)
}

async fn shown(world: &World, address: &str) -> (AccountState, u64) {
    let name = AddressName {
        address: address.to_owned(),
    };
    let account = world.admin().show_account(name).await.unwrap().into_inner();
    (account.state(), account.route.unwrap().epoch)
}

#[tokio::test]
async fn every_account_begins_anew_at_a_later_epoch() {
    let world = World::start_with(quick).await;
    world.domain("example.org").await;
    let shard = world.shard("shard-1").await;
    for n in 0..120 {
        world.account(&format!("a{n}@example.org"), "").await;
    }
    let first = shard.told.lock().iter().map(|it| it.uid_validity).max();
    assert_eq!(
        shown(&world, "a7@example.org").await,
        (AccountState::Active, 1)
    );
    drop(shard);
    until("the lease has ended", || async {
        replace(&world, "shard-1").await.ok()
    })
    .await;
    for n in [0, 7, 119] {
        let address = format!("a{n}@example.org");
        assert_eq!(shown(&world, &address).await, (AccountState::Creating, 2));
    }
    let shard = world.shard("shard-1").await;
    until("it has begun anew", || async {
        let now = shown(&world, "a119@example.org").await;
        (now == (AccountState::Active, 2)).then_some(())
    })
    .await;
    let told = shard.told.lock().clone();
    assert!(
        told.iter().all(|it| Some(it.uid_validity) > first),
        "{first:?}"
    );
}

#[tokio::test]
async fn a_shard_that_has_no_volume_is_said_to_have_none() {
    let world = World::start_with(quick).await;
    let unknown = replace(&world, "shard-9").await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound, "{unknown}");
    drop(world.shard("shard-1").await);
    for state in [ShardState::Cordoned, ShardState::Retired] {
        let request = SetShardStateRequest {
            request_id: id(),
            name: "shard-1".to_owned(),
            state: state.into(),
        };
        world.admin().set_shard_state(request).await.unwrap();
    }
    let retired = replace(&world, "shard-1").await.unwrap_err();
    assert_eq!(retired.code(), Code::FailedPrecondition, "{retired}");
}

#[tokio::test]
async fn a_shard_that_serves_keeps_its_volume() {
    let world = World::start().await;
    let _shard = world.shard("shard-1").await;
    let living = replace(&world, "shard-1").await.unwrap_err();
    assert_eq!(living.code(), Code::FailedPrecondition, "{living}");
    assert!(living.message().contains("holds its lease"), "{living}");
}
