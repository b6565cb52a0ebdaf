//! Shards, status and moves, as administrators see them.

use tonic::Code;
use wire::rpc::{
    AbortMoveRequest, AddAccountRequest, AddShardRequest, ListRequest, MovePhase,
    RemoveAccountRequest, SetShardStateRequest, ShardState, ShowMoveRequest, StartMoveRequest,
    StatusRequest,
};

use crate::world::{World, id, until};

fn set(name: &str, state: ShardState) -> SetShardStateRequest {
    SetShardStateRequest {
        request_id: id(),
        name: name.to_owned(),
        state: state.into(),
    }
}

fn add_on(address: &str, shard: &str) -> AddAccountRequest {
    AddAccountRequest {
        request_id: id(),
        address: address.to_owned(),
        shard: shard.to_owned(),
        ..AddAccountRequest::default()
    }
}

#[tokio::test]
async fn a_shard_is_added_once_and_listed() {
    let world = World::start().await;
    let mut admin = world.admin();
    let _shard = world.shard("shard-1").await;
    let again = AddShardRequest {
        request_id: id(),
        name: "shard-1".to_owned(),
    };
    let again = admin.add_shard(again).await.unwrap().into_inner();
    assert_eq!((again.state(), again.incarnation), (ShardState::Active, 1));
    let listed = admin
        .list_shards(ListRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.shards.len(), 1);
    assert!(listed.shards[0].live);
    let status = admin.status(StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.cluster_id, world.authority.cluster().to_string());
    assert_eq!(
        (status.store.as_str(), status.shards.len()),
        ("embedded", 1)
    );
}

#[tokio::test]
async fn only_an_active_shard_takes_accounts() {
    let world = World::start().await;
    let mut admin = world.admin();
    let _first = world.shard("shard-1").await;
    let _second = world.shard("shard-2").await;
    world.domain("example.org").await;
    admin
        .set_shard_state(set("shard-1", ShardState::Cordoned))
        .await
        .unwrap();
    for n in 0..3 {
        let made = world.account(&format!("a{n}@example.org"), "").await;
        assert_eq!(made.route.unwrap().shard, "shard-2");
    }
    let refused = admin
        .add_account(add_on("b@example.org", "shard-1"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    admin
        .set_shard_state(set("shard-1", ShardState::Active))
        .await
        .unwrap();
    let made = world.account("c@example.org", "").await;
    assert_eq!(made.route.unwrap().shard, "shard-1");
}

#[tokio::test]
async fn a_shard_retires_when_nothing_names_it_and_for_good() {
    let world = World::start().await;
    let mut admin = world.admin();
    let _shard = world.shard("shard-1").await;
    world.domain("example.org").await;
    world.account("ana@example.org", "").await;
    let retire = || set("shard-1", ShardState::Retired);
    let active = admin.set_shard_state(retire()).await.unwrap_err();
    assert!(active.message().contains("drain it first"), "{active}");
    admin
        .set_shard_state(set("shard-1", ShardState::Draining))
        .await
        .unwrap();
    let full = admin.set_shard_state(retire()).await.unwrap_err();
    assert_eq!(full.code(), Code::FailedPrecondition, "{full}");
    assert!(full.message().contains("has 1 account ("), "{full}");
    let remove = |purge| RemoveAccountRequest {
        request_id: id(),
        address: "ana@example.org".to_owned(),
        purge,
    };
    // Removed accounts count.
    admin.remove_account(remove(false)).await.unwrap();
    assert!(admin.set_shard_state(retire()).await.is_err());
    admin.remove_account(remove(true)).await.unwrap();
    let retired = until("empty", || async {
        world.admin().set_shard_state(retire()).await.ok()
    })
    .await
    .into_inner();
    assert_eq!(retired.state(), ShardState::Retired);
    let back = admin
        .set_shard_state(set("shard-1", ShardState::Active))
        .await
        .unwrap_err();
    assert!(back.message().contains("for good"), "{back}");
    let again = AddShardRequest {
        request_id: id(),
        name: "shard-1".to_owned(),
    };
    let again = admin.add_shard(again).await.unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition, "{again}");
    let unknown = admin
        .set_shard_state(set("shard-9", ShardState::Active))
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound, "{unknown}");
}

#[tokio::test]
async fn a_move_is_planned_shown_and_aborted_with_a_higher_epoch() {
    let world = World::start().await;
    let mut admin = world.admin();
    let _first = world.shard("shard-1").await;
    let _second = world.shard("shard-2").await;
    world.domain("example.org").await;
    let made = admin
        .add_account(add_on("ana@example.org", "shard-1"))
        .await
        .unwrap();
    let made = made.into_inner();
    let start = |target: &str| StartMoveRequest {
        request_id: id(),
        address: "ana@example.org".to_owned(),
        target: target.to_owned(),
    };
    for (target, code) in [
        ("shard-9", Code::NotFound),
        ("shard-1", Code::FailedPrecondition),
        ("", Code::InvalidArgument),
    ] {
        let status = admin.start_move(start(target)).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
    }
    let request = start("shard-2");
    let planned = admin
        .start_move(request.clone())
        .await
        .unwrap()
        .into_inner();
    let same = admin.start_move(request).await.unwrap().into_inner();
    assert_eq!(planned, same);
    let show = ShowMoveRequest {
        move_id: planned.move_id.clone(),
        ..ShowMoveRequest::default()
    };
    let shown = admin.show_move(show).await.unwrap().into_inner();
    assert_eq!(
        (shown.source.as_str(), shown.target.as_str()),
        ("shard-1", "shard-2")
    );
    let abort = AbortMoveRequest {
        request_id: id(),
        address: "ana@example.org".to_owned(),
    };
    let aborted = admin.abort_move(abort).await.unwrap().into_inner();
    assert_eq!(aborted.phase(), MovePhase::Aborted);
    let name = wire::rpc::AddressName {
        address: "ana@example.org".to_owned(),
    };
    let account = admin.show_account(name).await.unwrap().into_inner();
    let route = account.route.unwrap();
    assert_eq!(
        (route.shard.as_str(), route.epoch),
        ("shard-1", made.route.unwrap().epoch + 1)
    );
    let open = ListRequest {
        filter: "open".to_owned(),
        ..ListRequest::default()
    };
    // It is over, whatever its shards have heard.
    assert_eq!(
        admin
            .list_moves(open)
            .await
            .unwrap()
            .into_inner()
            .moves
            .len(),
        0
    );
}
