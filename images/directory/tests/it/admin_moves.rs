//! Moves are planned only where there is room.

use std::sync::Arc;

use buzonera_directory::model::Key;
use buzonera_directory::model::records::{AccountRecord, LoadRecord, ShardStateRecord};
use buzonera_directory::store::embedded::{Embedded, Options};
use buzonera_directory::store::{SharedStore, Txn};
use kit::authority::Authority;
use wire::ids::{AccountId, ClusterId};
use wire::rpc::move_result::Outcome;
use wire::rpc::{AccountState, MoveRow, ShardLoad, ShardState, StartMovesRequest};

use crate::store_suite::committed;
use crate::world::{World, claim, config, id};

fn put(txn: Txn, key: &Key, record: &impl prost::Message) -> Txn {
    txn.put(key.to_string(), record.encode_to_vec())
}

/// An account on a shard that nobody runs, and a target that says how full it is.
async fn planned_to(nearly_full: bool) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::create(&folder.path().join("ca"), ClusterId::random()).unwrap();
    let store = Embedded::open(&folder.path().join("store"), Options::default()).await;
    let store: SharedStore = Arc::new(store.unwrap());
    claim(&store, authority.cluster()).await;
    let account = AccountId::random();
    let there = AccountRecord {
        address: "ana@example.org".to_owned(),
        shard: "shard-1".to_owned(),
        epoch: 1,
        state: AccountState::Active.into(),
        ..AccountRecord::default()
    };
    let active = ShardStateRecord {
        state: ShardState::Active.into(),
        ..ShardStateRecord::default()
    };
    let load = ShardLoad {
        nearly_full,
        ..ShardLoad::default()
    };
    let told = LoadRecord {
        load: Some(load),
        ..LoadRecord::default()
    };
    let shard = || "shard-2".parse().unwrap();
    let txn = put(Txn::new(), &Key::Account(account), &there);
    let txn = put(txn, &Key::ShardState(shard()), &active);
    committed(&store, put(txn, &Key::Load(shard()), &told)).await;
    let settings = config(&authority, folder.path());
    let world = World::over(folder, authority, settings, store).await;
    let row = MoveRow {
        account: account.to_field(),
        target: "shard-2".to_owned(),
    };
    let request = StartMovesRequest {
        request_id: id(),
        rows: vec![row],
        plan: String::new(),
    };
    let reply = world.admin().start_moves(request).await.unwrap();
    let outcome = reply.into_inner().results[0].outcome();
    world.stop().await;
    outcome
}

#[tokio::test]
async fn a_full_target_is_said_for_each_row() {
    assert_eq!(planned_to(true).await, Outcome::NoRoom);
    assert_eq!(planned_to(false).await, Outcome::Planned);
}
