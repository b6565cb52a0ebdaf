//! What decided moves leave shards to do.

use buzonera_directory::model::Key;
use buzonera_directory::model::records::{AccountRecord, DebtRecord, MoveRecord};
use kit::services::registry_server::Registry as _;
use wire::ids::{AccountId, MoveId};
use wire::rpc::confirmation::What;
use wire::rpc::{AccountState, ConfirmRequest, Debt, MovePhase};

use super::{World, account, from, next};

const MOVE: MoveId = MoveId::from_bytes([7; 16]);

fn owes(peer: &str, whole: bool) -> DebtRecord {
    DebtRecord {
        move_id: MOVE.to_field(),
        epoch: 5,
        peer: peer.to_owned(),
        whole,
        ..DebtRecord::default()
    }
}

fn key(shard: &str, id: AccountId) -> Key {
    Key::Debt(shard.parse().unwrap(), id)
}

/// The account is on shard-2 since epoch 5, and shard-1 has it as it was.
async fn moved(world: &World) -> AccountId {
    let id = AccountId::random();
    let record = account("shard-2", AccountState::Active, 5);
    world.put(&Key::Account(id), &record).await;
    world.put(&key("shard-1", id), &owes("shard-2", true)).await;
    id
}

async fn debt(world: &World, shard: &str, id: AccountId) -> Option<DebtRecord> {
    world.read(key(shard, id)).await
}

async fn pays(world: &World, shard: &str, incarnation: u64, id: AccountId, epoch: u64) {
    let paid = Debt {
        account: id.to_field(),
        move_id: MOVE.to_field(),
        epoch,
        due: true,
    };
    let request = ConfirmRequest {
        incarnation,
        paid: vec![paid],
        ..ConfirmRequest::default()
    };
    let confirmed = world.registry.confirm(from(shard, request)).await;
    confirmed.unwrap();
}

async fn home(world: &World, id: AccountId) -> (String, u64) {
    let record: AccountRecord = world.read(Key::Account(id)).await.unwrap();
    (record.shard, record.epoch)
}

#[tokio::test]
async fn a_debt_is_due_when_the_account_is_served_and_gone_when_it_is_paid() {
    let world = World::embedded().await;
    let source = world.granted("shard-1", 0, "boot-a").await;
    let target = world.granted("shard-2", 0, "boot-a").await;
    let id = moved(&world).await;
    let is_due = async || debt(&world, "shard-1", id).await.map(|debt| debt.due);
    // Another epoch, or nobody named: nothing follows.
    let says = async |epoch, keepers: &[&str]| {
        let what = What::Serving;
        world
            .confirms("shard-2", target, id, epoch, what, keepers)
            .await;
    };
    says(4, &["shard-1"]).await;
    says(5, &[]).await;
    assert_eq!(is_due().await, Some(false));
    let mut watch = world.watch(source).await.unwrap();
    let told = next(&mut watch).await.debts.remove(0);
    assert_eq!((told.epoch, told.due), (5, false));
    says(5, &["shard-1", "shard-9"]).await;
    assert_eq!(is_due().await, Some(true));
    let told = next(&mut watch).await.debts.remove(0);
    assert_eq!((told.epoch, told.due), (5, true));
    // Of another decision: it is not this one.
    pays(&world, "shard-1", source, id, 4).await;
    assert_eq!(is_due().await, Some(true));
    pays(&world, "shard-1", source, id, 5).await;
    assert_eq!(is_due().await, None);
    assert_eq!(home(&world, id).await, ("shard-2".to_owned(), 5));
}

#[tokio::test]
async fn what_is_owed_of_a_purged_account_is_due() {
    let world = World::embedded().await;
    let target = world.granted("shard-2", 0, "boot-a").await;
    let id = moved(&world).await;
    let record = account("shard-2", AccountState::Purging, 6);
    world.put(&Key::Account(id), &record).await;
    let keepers = ["shard-1"];
    world
        .confirms("shard-2", target, id, 6, What::Dropped, &keepers)
        .await;
    assert!(
        world
            .read::<AccountRecord>(Key::Account(id))
            .await
            .is_none()
    );
    assert!(debt(&world, "shard-1", id).await.unwrap().due);
}

#[tokio::test]
async fn an_account_that_its_target_lost_goes_back_once_that_has_promised() {
    let world = World::embedded().await;
    let target = world.granted("shard-2", 0, "boot-a").await;
    let id = moved(&world).await;
    let moving = MoveRecord {
        move_id: MOVE.to_field(),
        source: "shard-1".to_owned(),
        target: "shard-2".to_owned(),
        phase: MovePhase::Done.into(),
        ..MoveRecord::default()
    };
    world.put(&Key::Move(id), &moving).await;
    let keepers = ["shard-1"];
    let misses = async |epoch| {
        world
            .confirms("shard-2", target, id, epoch, What::Missing, &keepers)
            .await;
    };
    misses(5).await;
    assert_eq!(home(&world, id).await, ("shard-2".to_owned(), 5));
    let order = debt(&world, "shard-2", id).await.unwrap();
    assert_eq!((order.epoch, order.due, order.returns), (6, true, true));
    // It was removed before the promise came: that is asked for anew.
    let record = account("shard-2", AccountState::Removed, 6);
    world.put(&Key::Account(id), &record).await;
    pays(&world, "shard-2", target, id, 6).await;
    assert_eq!(home(&world, id).await, ("shard-2".to_owned(), 6));
    assert_eq!(debt(&world, "shard-2", id).await.unwrap().epoch, 7);
    pays(&world, "shard-2", target, id, 7).await;
    assert_eq!(home(&world, id).await, ("shard-1".to_owned(), 7));
    let moved: MoveRecord = world.read(Key::Move(id)).await.unwrap();
    assert_eq!(moved.phase(), MovePhase::Aborted);
    let back: AccountRecord = world.read(Key::Account(id)).await.unwrap();
    assert_eq!((back.state(), back.pending), (AccountState::Removed, true));
    for shard in ["shard-1", "shard-2"] {
        assert_eq!(debt(&world, shard, id).await, None, "{shard}");
    }
}

#[tokio::test]
async fn what_a_target_has_built_is_not_what_a_source_lost() {
    let world = World::embedded().await;
    let source = world.granted("shard-1", 0, "boot-a").await;
    let id = AccountId::random();
    let record = account("shard-1", AccountState::Active, 5);
    world.put(&Key::Account(id), &record).await;
    world
        .put(&key("shard-2", id), &owes("shard-1", false))
        .await;
    let keepers = ["shard-2"];
    world
        .confirms("shard-1", source, id, 5, What::Missing, &keepers)
        .await;
    assert_eq!(debt(&world, "shard-1", id).await, None);
    assert!(!debt(&world, "shard-2", id).await.unwrap().due);
}
