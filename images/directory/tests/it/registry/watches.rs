//! A shard's watch: all its accounts, then every change.

use std::sync::Arc;
use std::time::Duration;

use buzonera_directory::model::Key;
use buzonera_directory::store::embedded::{Embedded, Options};
use buzonera_directory::store::lagging::Lagging;
use buzonera_directory::store::{SharedStore, Txn};
use futures::StreamExt as _;
use kit::services::registry_server::Registry as _;
use prost::Message as _;
use tempfile::TempDir;
use tonic::Code;
use wire::answer::{NotMe, Word};
use wire::ids::AccountId;
use wire::rpc::confirmation::What;
use wire::rpc::{AccountState, ConfirmRequest, Confirmation};

use super::{World, account, from, next};
use crate::store_suite::{PATIENCE, committed, share};

#[tokio::test]
async fn a_watch_tells_all_accounts_in_pages_and_then_each_change() {
    let world = World::embedded().await;
    let incarnation = world.granted("shard-1", 0, "boot-a").await;
    let ids: Vec<_> = (0..2100).map(|_| AccountId::random()).collect();
    for batch in ids.chunks(100) {
        let record = account("shard-1", AccountState::Active, 1).encode_to_vec();
        let txn = batch.iter().fold(Txn::new(), |txn, id| {
            txn.put(Key::Account(*id).to_string(), record.clone())
        });
        committed(&world.store, txn).await;
    }
    let elsewhere = AccountId::random();
    world
        .put(
            &Key::Account(elsewhere),
            &account("shard-2", AccountState::Active, 1),
        )
        .await;
    let mut watch = world.watch(incarnation).await.unwrap();
    let mut seen = Vec::new();
    for (entries, complete) in [(1000, false), (1000, false), (100, true)] {
        let page = next(&mut watch).await;
        assert_eq!(
            (page.entries.len(), page.snapshot_complete),
            (entries, complete)
        );
        seen.extend(
            page.entries
                .into_iter()
                .map(|entry| entry.route.unwrap().account),
        );
    }
    let mut expected: Vec<_> = ids.iter().map(|id| id.to_field()).collect();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    // Not this shard's: not told. Then one comes, one goes, one is gone for good.
    world
        .put(
            &Key::Account(elsewhere),
            &account("shard-2", AccountState::Removed, 2),
        )
        .await;
    world
        .put(
            &Key::Account(ids[0]),
            &account("shard-2", AccountState::Active, 2),
        )
        .await;
    let left = next(&mut watch).await.entries.remove(0);
    let route = left.route.unwrap();
    assert_eq!((&route.shard[..], route.epoch), ("shard-2", 2));
    assert_eq!(route.account, ids[0].to_field());
    world
        .put(
            &Key::Account(elsewhere),
            &account("shard-1", AccountState::Active, 3),
        )
        .await;
    let came = next(&mut watch).await.entries.remove(0).route.unwrap();
    assert_eq!((&came.shard[..], came.epoch), ("shard-1", 3));
    world.registry.shutdown.trigger();
    assert!(
        tokio::time::timeout(PATIENCE, watch.next())
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_process_that_was_taken_over_from_neither_watches_nor_confirms() {
    let world = World::embedded().await;
    let old = world.granted("shard-1", 0, "boot-a").await;
    let id = AccountId::random();
    world
        .put(
            &Key::Account(id),
            &account("shard-1", AccountState::Creating, 1),
        )
        .await;
    let mut watch = world.watch(old).await.unwrap();
    next(&mut watch).await;
    world.granted("shard-1", old, "boot-a").await;
    let refused = world.watch(old).await.err().unwrap();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    world
        .put(
            &Key::Account(id),
            &account("shard-1", AccountState::Creating, 2),
        )
        .await;
    let end = tokio::time::timeout(PATIENCE, watch.next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(end.unwrap_err().code(), Code::FailedPrecondition);
    let request = ConfirmRequest {
        incarnation: old,
        confirmations: vec![Confirmation {
            account: id.to_field(),
            epoch: 2,
            what: What::Created.into(),
            ..Confirmation::default()
        }],
        ..ConfirmRequest::default()
    };
    let refused = world
        .registry
        .confirm(from("shard-1", request))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn a_watch_goes_on_where_it_was() {
    let world = World::embedded().await;
    let incarnation = world.granted("shard-1", 0, "boot-a").await;
    let (before, missed) = (AccountId::random(), AccountId::random());
    let active = account("shard-1", AccountState::Active, 1);
    world.put(&Key::Account(before), &active).await;
    let mut watch = world.watch(incarnation).await.unwrap();
    let heeded = next(&mut watch).await.revision;
    drop(watch);
    for epoch in [1, 2] {
        let record = account("shard-1", AccountState::Creating, epoch);
        world.put(&Key::Account(missed), &record).await;
    }
    let mut watch = world.watch_after(incarnation, heeded).await.unwrap();
    let first = next(&mut watch).await;
    assert!(first.resumed && first.revision > heeded, "{first:?}");
    let [entry] = &first.entries[..] else {
        panic!("{first:?}");
    };
    let route = entry.route.as_ref().unwrap();
    assert_eq!((&route.account, route.epoch), (&missed.to_field(), 2));
    // Nothing was missed, and that is said too.
    let mut watch = world
        .watch_after(incarnation, first.revision)
        .await
        .unwrap();
    let nothing = next(&mut watch).await;
    assert!(nothing.resumed && nothing.entries.is_empty(), "{nothing:?}");
    // A revision of another history is none to go on from.
    let mut watch = world.watch_after(incarnation, u64::MAX).await.unwrap();
    let all = next(&mut watch).await;
    assert!(!all.resumed && all.snapshot_complete, "{all:?}");
    assert_eq!(all.entries.len(), 2);
}

const BEAT: Duration = Duration::from_millis(20);

#[tokio::test]
async fn a_watch_is_never_silent_while_its_replica_is_in_touch() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(folder.path(), Options::default()).await;
    let lagging = Arc::new(Lagging::new(share(store.unwrap())));
    let store: SharedStore = lagging.clone();
    let world = World::with_times(PATIENCE, BEAT, store, Some(folder)).await;
    let incarnation = world.granted("shard-1", 0, "boot-a").await;
    let mut watch = world.watch(incarnation).await.unwrap();
    assert!(next(&mut watch).await.snapshot_complete);
    let other = account("shard-2", AccountState::Active, 1);
    world.put(&Key::Account(AccountId::random()), &other).await;
    let head = world.store.head().await.unwrap();
    // What concerns another shard is not told, but that it is known.
    while next(&mut watch).await.revision < head.0 {}
    lagging.cut_off();
    let end = async {
        loop {
            if let Err(status) = watch.next().await.unwrap() {
                return status;
            }
        }
    };
    let end = tokio::time::timeout(PATIENCE, end).await.unwrap();
    let not_me = Some(Word::NotMe(NotMe::OutOfTouch));
    assert_eq!(kit::rpc::word_of(&end), not_me, "{end}");
}
