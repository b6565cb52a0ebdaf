//! Another volume in place of the one that a shard served.

use std::collections::HashMap;
use std::time::Duration;

use buzonera_directory::Config;
use bytes::Bytes;
use tonic::Code;
use wire::rpc::{
    AccountEntry, AccountState, AddressName, ReplaceVolumeRequest, SetShardStateRequest, ShardInfo,
    ShardState,
};

use crate::world::{Shard, World, id, until};

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

/// What the shard was told last of each account.
fn uid_validities(shard: &Shard) -> HashMap<Bytes, u64> {
    let told = shard.told.lock();
    let of = |entry: &AccountEntry| (entry.route.clone().unwrap().account, entry.uid_validity);
    told.iter().map(of).collect()
}

#[tokio::test]
async fn every_account_begins_anew_at_a_later_epoch() {
    let world = World::start_with(quick).await;
    world.domain("example.org").await;
    let shard = world.shard("shard-1").await;
    for n in 0..120 {
        world.account(&format!("a{n}@example.org"), "").await;
    }
    let first = uid_validities(&shard);
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
    let later = uid_validities(&shard);
    assert_eq!(later.len(), 120);
    let is_later = |(id, uid_validity)| first.get(id).is_some_and(|first| uid_validity > first);
    assert!(later.iter().all(is_later), "{first:?} {later:?}");
}

/// A second disk breaks right after the first: the accounts of the first replacement are no newer
/// than the second.
#[tokio::test]
async fn each_replacement_is_a_later_one() {
    let world = World::start_with(quick).await;
    world.domain("example.org").await;
    let shard = world.shard("shard-1").await;
    world.account("ana@example.org", "").await;
    drop(shard);
    until("the lease has ended", || async {
        replace(&world, "shard-1").await.ok()
    })
    .await;
    for epoch in 3..=5 {
        replace(&world, "shard-1").await.unwrap();
        let now = shown(&world, "ana@example.org").await;
        assert_eq!(now, (AccountState::Creating, epoch));
    }
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
