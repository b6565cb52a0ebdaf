//! What time does by itself.

use std::sync::Arc;
use std::time::Duration;

use buzonera_directory::model::Key;
use buzonera_directory::model::records::MoveRecord;
use buzonera_directory::store::embedded::{Embedded, Options};
use buzonera_directory::store::{SharedStore, Txn};
use kit::authority::Authority;
use prost::Message as _;
use wire::ids::{AccountId, ClusterId, MoveId};
use wire::rpc::MovePhase;

use crate::store_suite::{committed, value};
use crate::world::{World, claim, config, until};

fn moved_long_ago(phase: MovePhase) -> Vec<u8> {
    let record = MoveRecord {
        move_id: MoveId::random().to_field(),
        source: "shard-1".to_owned(),
        target: "shard-2".to_owned(),
        phase: phase.into(),
        changed_at_ms: 1,
        ..MoveRecord::default()
    };
    record.encode_to_vec()
}

#[tokio::test]
async fn a_move_that_is_over_is_forgotten_and_an_open_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::create(&folder.path().join("ca"), ClusterId::random()).unwrap();
    let store = Embedded::open(&folder.path().join("store"), Options::default()).await;
    let store: SharedStore = Arc::new(store.unwrap());
    claim(&store, authority.cluster()).await;
    let (over, open) = (
        Key::Move(AccountId::random()).to_string(),
        Key::Move(AccountId::random()).to_string(),
    );
    let txn = Txn::new()
        .put(over.clone(), moved_long_ago(MovePhase::Done))
        .put(open.clone(), moved_long_ago(MovePhase::Verified));
    committed(&store, txn).await;
    let mut settings = config(&authority, folder.path());
    settings.admin.keep_outcomes = Duration::from_secs(60);
    settings.admin.sweep = Duration::from_millis(20);
    let world = World::over(folder, authority, settings, Arc::clone(&store)).await;
    until("the move is forgotten", || async {
        value(&store, &over).await.is_none().then_some(())
    })
    .await;
    assert!(value(&store, &open).await.is_some());
    world.stop().await;
}
