//! What keeps a cluster as it is described: ordinals, generations, reasons that are no sentences.

use std::sync::Arc;
use std::time::{Duration, Instant};

use buzonera_directory::store::embedded::{Embedded, Options};
use buzonera_directory::store::lagging::Lagging;
use buzonera_directory::store::{SharedStore, Txn};
use kit::authority::Authority;
use kit::rpc::refusal;
use tonic::{Code, Status};
use wire::ids::ClusterId;
use wire::rpc::refusal::Why;
use wire::rpc::{
    AddShardRequest, AllocateShardRequest, ListRequest, ListShardsReply, OrdinalUsed,
    OtherGeneration, SetShardRequest, ShardInfo, ShardState, StatusRequest, StoreAlarm,
};

use crate::etcd::Server;
use crate::store_suite::committed;
use crate::world::{World, config, id, until};

async fn allocate(world: &World, ordinal: Option<u32>) -> Result<ShardInfo, Status> {
    let request = AllocateShardRequest {
        request_id: id(),
        prefix: "mail".to_owned(),
        ordinal,
        weight: None,
    };
    let made = world.operator().allocate_shard(request).await?;
    Ok(made.into_inner())
}

async fn set(
    world: &World,
    seen: &ShardInfo,
    state: Option<ShardState>,
    weight: Option<u32>,
) -> Result<ShardInfo, Status> {
    let request = SetShardRequest {
        request_id: id(),
        name: seen.name.clone(),
        generation: seen.generation,
        state: state.map(Into::into),
        weight,
    };
    Ok(world.operator().set_shard(request).await?.into_inner())
}

async fn list(world: &World) -> ListShardsReply {
    let listed = world.operator().list_shards(ListRequest::default()).await;
    listed.unwrap().into_inner()
}

fn used(refused: &Status) -> u32 {
    assert_eq!(refused.code(), Code::AlreadyExists, "{refused}");
    match refusal(refused) {
        Some(Why::OrdinalUsed(OrdinalUsed { next_free })) => next_free,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_ordinal_never_returns() {
    let world = World::start().await;
    let names = async |ordinal| allocate(&world, ordinal).await.unwrap().name;
    assert_eq!(names(None).await, "mail-0");
    assert_eq!(names(None).await, "mail-1");
    let seen = list(&world).await.shards.remove(1);
    let cordoned = set(&world, &seen, Some(ShardState::Cordoned), None).await;
    let retired = set(&world, &cordoned.unwrap(), Some(ShardState::Retired), None).await;
    assert_eq!(retired.unwrap().state(), ShardState::Retired);

    assert_eq!(used(&allocate(&world, Some(1)).await.unwrap_err()), 2);
    assert_eq!(names(None).await, "mail-2");
    assert_eq!(names(Some(7)).await, "mail-7");
    // What was passed over is used up: whoever wrote it down may have used it.
    assert_eq!(used(&allocate(&world, Some(5)).await.unwrap_err()), 8);
    // A shard that an administrator made has its name.
    let request = AddShardRequest {
        request_id: id(),
        name: "mail-8".to_owned(),
    };
    world.admin().add_shard(request).await.unwrap();
    let refused = allocate(&world, Some(8)).await.unwrap_err();
    assert_eq!(used(&refused), 9);
    assert!(refused.message().contains("mail-9"), "{refused}");
    assert_eq!(names(None).await, "mail-9");
}

#[tokio::test]
async fn calls_at_once_get_different_ordinals_and_a_repeated_one_the_same() {
    let world = World::start().await;
    let request = AllocateShardRequest {
        request_id: id(),
        prefix: "mail".to_owned(),
        ordinal: None,
        weight: Some(200),
    };
    let once = async || {
        let made = world.operator().allocate_shard(request.clone()).await;
        made.unwrap().into_inner()
    };
    let first = once().await;
    assert_eq!((first.generation, first.weight), (1, 200));
    assert_eq!(once().await.name, first.name);
    let together = futures::future::join_all((0..4).map(|_| allocate(&world, None))).await;
    let mut names: Vec<_> = together
        .into_iter()
        .map(|made| made.unwrap().name)
        .collect();
    names.sort();
    assert_eq!(names, ["mail-1", "mail-2", "mail-3", "mail-4"]);
}

#[tokio::test]
async fn what_somebody_else_changed_is_not_changed_unseen() {
    let world = World::start().await;
    let seen = allocate(&world, None).await.unwrap();
    let heavier = set(&world, &seen, None, Some(300)).await.unwrap();
    assert_eq!((heavier.generation, heavier.weight), (2, 300));
    assert_eq!(heavier.state(), ShardState::Active);
    let refused = set(&world, &seen, Some(ShardState::Cordoned), None).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted, "{refused}");
    let generation = Some(Why::OtherGeneration(OtherGeneration { generation: 2 }));
    assert_eq!(refusal(&refused), generation);
    // To ask for what is so already is no change.
    let same = set(&world, &heavier, Some(ShardState::Active), Some(300)).await;
    assert_eq!(same.unwrap().generation, 2);
}

#[tokio::test]
async fn a_shard_that_holds_something_is_not_retired_and_says_what() {
    let world = World::start().await;
    let _shard = world.shard("mail-0").await;
    world.domain("example.org").await;
    world.account("ana@example.org", "").await;
    let seen = list(&world).await.shards.remove(0);
    assert_eq!(seen.accounts_by_state.unwrap().active, 1);
    let cordoned = set(&world, &seen, Some(ShardState::Cordoned), None).await;
    let refused = set(&world, &cordoned.unwrap(), Some(ShardState::Retired), None).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    let Some(Why::NotEmpty(held)) = refusal(&refused) else {
        panic!("{refused:?}");
    };
    let accounts = held.accounts.unwrap();
    assert_eq!(
        (accounts.active, accounts.removed, held.open_moves),
        (1, 0, 0)
    );
}

/// Whoever asks every few seconds would rather have an old list than none.
#[tokio::test]
async fn a_list_that_may_be_old_comes_soon_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::create(&folder.path().join("ca"), ClusterId::random()).unwrap();
    let store = Embedded::open(&folder.path().join("store"), Options::default()).await;
    let store: SharedStore = Arc::new(store.unwrap());
    let lagging = Arc::new(Lagging::new(Arc::clone(&store)));
    let settings = config(&authority, folder.path());
    let behind = Arc::clone(&lagging) as SharedStore;
    let world = World::over(folder, authority, settings, behind).await;
    allocate(&world, None).await.unwrap();
    let current = list(&world).await;
    assert_eq!((current.shards.len(), current.stale), (1, false));

    lagging.hold();
    committed(&store, Txn::new().put("domains/new.example", "")).await;
    let began = Instant::now();
    let old = list(&world).await;
    assert_eq!((old.shards.len(), old.stale), (1, true));
    assert!(began.elapsed() < Duration::from_secs(5), "{began:?}");
    lagging.release();
    until("a current list", || async {
        (!list(&world).await.stale).then_some(())
    })
    .await;
}

/// Also before anything was written in vain.
#[tokio::test]
async fn what_the_store_raises_an_alarm_about_is_told() {
    let server = Server::start();
    let store: SharedStore = Arc::new(server.store("/buzonera/alarms/").await);
    let lagging = Arc::new(Lagging::new(store));
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::create(&folder.path().join("ca"), ClusterId::random()).unwrap();
    let settings = config(&authority, folder.path());
    let through = Arc::clone(&lagging) as SharedStore;
    let world = World::over_unasked(folder, authority, settings, through);
    let told = async |expected: &[StoreAlarm]| {
        until(&format!("{expected:?}"), || async {
            let status = world.operator().status(StatusRequest {}).await.ok()?;
            let told: Vec<_> = status.into_inner().alarms().collect();
            (told == expected).then_some(())
        })
        .await;
    };
    told(&[]).await;
    server.alarm_of_space("ACTIVATE");
    told(&[StoreAlarm::Full]).await;
    server.alarm_of_space("DEACTIVATE");
    told(&[]).await;
    lagging.cut_off();
    told(&[StoreAlarm::Away]).await;
}
