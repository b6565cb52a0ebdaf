//! The store's promises in a real folder, and what is the embedded store's alone: recovery,
//! reclaiming, and that nothing is seen before it is durable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use buzonera_directory::store::embedded::{Embedded, Options};
use buzonera_directory::store::{Error, Expect, Outcome, SharedStore, Txn};
use bytes::Bytes;
use futures::StreamExt;
use segments::sim::{Fault, SimDisk};
use tempfile::TempDir;

use crate::store_suite::{self, Opened, PATIENCE, committed, everything, share, value};

async fn open(_test: &str) -> Opened<TempDir> {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(folder.path(), Options::default())
        .await
        .unwrap();
    Opened::new(share(store), folder)
}

store_suite::suite!(open);

#[tokio::test]
async fn opened_again_it_is_the_same() {
    let folder = TempDir::new().unwrap();
    let store = share(
        Embedded::open(folder.path(), Options::default())
            .await
            .unwrap(),
    );
    committed(&store, Txn::new().put("a", "1").put("b", "1")).await;
    let last = committed(&store, Txn::new().put("a", "2").delete("b")).await;
    drop(store);
    let store = share(
        Embedded::open(folder.path(), Options::default())
            .await
            .unwrap(),
    );
    assert_eq!(store.head().await.unwrap(), last);
    let (_, all) = everything(&store).await;
    assert_eq!(all, BTreeMap::from([("a".to_owned(), Bytes::from("2"))]));
    let condition = Txn::new().when("a", Expect::At(last)).put("a", "3");
    assert!(committed(&store, condition).await > last);
    let told = store.watch(Default::default()).next().await.unwrap();
    assert_eq!(told, Err(Error::Compacted(Default::default())));
}

#[tokio::test]
async fn opened_again_earlier_leases_are_void() {
    let folder = TempDir::new().unwrap();
    let store = share(
        Embedded::open(folder.path(), Options::default())
            .await
            .unwrap(),
    );
    let lease = store.grant(PATIENCE).await.unwrap();
    committed(
        &store,
        Txn::new()
            .put_leased("leased", "x", lease)
            .put("stays", "x"),
    )
    .await;
    let freed = Txn::new().put_leased("freed", "x", lease);
    committed(&store, freed).await;
    committed(&store, Txn::new().put("freed", "y")).await;
    drop(store);
    let store = share(
        Embedded::open(folder.path(), Options::default())
            .await
            .unwrap(),
    );
    let keys: Vec<_> = everything(&store).await.1.into_keys().collect();
    assert_eq!(keys, ["freed", "stays"]);
    assert_eq!(store.keep_alive(lease).await, Err(Error::LeaseGone));
}

#[tokio::test]
async fn only_one_process_has_it() {
    let opened = open("").await;
    let second = Embedded::open(opened._keep.path(), Options::default()).await;
    let Err(Error::Failed(text)) = second else {
        panic!("opened twice");
    };
    assert!(text.contains("in use by another process"), "{text}");
}

#[tokio::test]
async fn a_watch_from_before_its_history_is_told() {
    let folder = TempDir::new().unwrap();
    let options = Options {
        history_transactions: 3,
        ..Options::default()
    };
    let store = share(Embedded::open(folder.path(), options).await.unwrap());
    let first = committed(&store, Txn::new().put("a", "0")).await;
    for n in 1..5 {
        committed(&store, Txn::new().put("a", n.to_string())).await;
    }
    let told = store.watch(first).next().await.unwrap();
    assert_eq!(told, Err(Error::Compacted(first)));
}

#[tokio::test]
async fn nothing_is_seen_before_its_sync() {
    let disk = SimDisk::new(1);
    let store = on(&disk, Options::default()).await;
    let before = committed(&store, Txn::new().put("a", "1")).await;
    let mut watch = store.watch(before);
    disk.hold_syncs();
    let commit = spawn_commit(&store, Txn::new().when("b", Expect::Absent).put("b", "1"));
    held_sync(&disk).await;
    // A second one is decided by the first, and is told no before the first is there.
    let second = spawn_commit(&store, Txn::new().when("b", Expect::Absent).put("b", "2"));
    assert_eq!(store.head().await.unwrap(), before);
    assert_eq!(value(&store, "b").await, None);
    assert_eq!(everything(&store).await.1.len(), 1);
    let soon = Duration::from_millis(50);
    assert!(tokio::time::timeout(soon, watch.next()).await.is_err());
    assert!(!commit.is_finished() && !second.is_finished());
    disk.release_syncs();
    assert!(matches!(commit.await.unwrap(), Ok(Outcome::Committed(_))));
    assert_eq!(second.await.unwrap(), Ok(Outcome::Conflict));
    assert_eq!(value(&store, "b").await.unwrap(), "1");
}

#[tokio::test]
async fn after_a_failed_sync_it_stops() {
    let disk = SimDisk::new(2);
    let store = on(&disk, Options::default()).await;
    let before = committed(&store, Txn::new().put("a", "1")).await;
    let mut watch = store.watch(before);
    disk.fail_next_sync(Fault::Broken);
    let commit = store.commit(Txn::new().put("a", "2")).await;
    assert!(matches!(commit, Err(Error::Unknown(_))), "{commit:?}");
    let later = store.commit(Txn::new().put("a", "3")).await;
    assert!(matches!(later, Err(Error::Failed(_))), "{later:?}");
    assert!(matches!(store.head().await, Err(Error::Failed(_))));
    let end = tokio::time::timeout(PATIENCE, watch.next())
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(end, Err(Error::Failed(_))), "{end:?}");
}

#[tokio::test]
async fn power_cuts_lose_nothing_acknowledged() {
    for seed in 0..60 {
        power_cut(seed).await;
    }
}

/// Writers that count up, each its own key, until the power is cut.
async fn power_cut(seed: u64) {
    let disk = SimDisk::new(seed);
    let small = || Options {
        segment_bytes: 4096,
        reclaim_bytes: 8192,
        ..Options::default()
    };
    let mut acknowledged = [0; 4];
    for boot in 0..3 {
        let store = on(&disk, small()).await;
        let tasks: Vec<_> = (0..4)
            .map(|writer| tokio::spawn(count_up(store.clone(), writer, acknowledged[writer])))
            .collect();
        let enough = (seed * 7 + boot * 13) % 40;
        while disk.syncs() < enough + boot * 60 && !tasks.iter().all(|task| task.is_finished()) {
            tokio::task::yield_now().await;
        }
        disk.power_cut();
        for (writer, task) in tasks.into_iter().enumerate() {
            acknowledged[writer] = task.await.unwrap();
        }
        drop(store);
        let store = on(&disk, small()).await;
        for (writer, at_least) in acknowledged.iter_mut().enumerate() {
            let found = number(value(&store, &format!("n/{writer}")).await);
            // One more may have become durable without an answer.
            assert!(
                found == *at_least || found == *at_least + 1,
                "seed {seed}: {found} {at_least}"
            );
            assert_eq!(
                number(value(&store, &format!("twin/{writer}")).await),
                found,
                "seed {seed}"
            );
            *at_least = found;
        }
    }
}

async fn count_up(store: SharedStore, writer: usize, mut n: u64) -> u64 {
    for _ in 0..60 {
        let next = (n + 1).to_string();
        let txn = Txn::new().put(format!("n/{writer}"), next.clone());
        // Ballast, so that there is something to reclaim.
        let txn = txn
            .put(format!("twin/{writer}"), next)
            .put("ballast", vec![b'x'; 200]);
        match store.commit(txn).await {
            Ok(Outcome::Committed(_)) => n += 1,
            _ => return n,
        }
    }
    n
}

fn number(value: Option<Bytes>) -> u64 {
    value.map_or(0, |value| {
        std::str::from_utf8(&value).unwrap().parse().unwrap()
    })
}

#[tokio::test]
async fn reclaiming_keeps_the_living_and_bounds_the_log() {
    let disk = SimDisk::new(3);
    let options = || Options {
        segment_bytes: 16 << 10,
        reclaim_bytes: 64 << 10,
        ..Options::default()
    };
    let store = on(&disk, options()).await;
    let lease = store.grant(PATIENCE).await.unwrap();
    committed(&store, Txn::new().put_leased("leased", "x", lease)).await;
    let mut expected = BTreeMap::new();
    for n in 0..100 {
        let key = format!("once/{n}");
        committed(
            &store,
            Txn::new().put(&key, "kept").put(format!("gone/{n}"), "x"),
        )
        .await;
        expected.insert(key, Bytes::from("kept"));
    }
    for n in 0..100 {
        committed(&store, Txn::new().delete(format!("gone/{n}"))).await;
    }
    for n in 0..4000_u32 {
        let (key, text) = (format!("often/{}", n % 20), n.to_string());
        committed(
            &store,
            Txn::new()
                .put(&key, text.clone())
                .put("long", vec![b'x'; 300]),
        )
        .await;
        expected.insert(key, Bytes::from(text));
    }
    expected.insert("long".to_owned(), Bytes::from(vec![b'x'; 300]));
    let bytes: usize = disk
        .files()
        .iter()
        .map(|name| disk.contents(name).len())
        .sum();
    assert!(
        bytes < 300 << 10,
        "1.6 MB were written, {bytes} octets are left"
    );
    assert_eq!(value(&store, "leased").await.unwrap(), "x");
    store.revoke(lease).await.unwrap();
    assert_eq!(everything(&store).await.1, expected);
    let head = store.head().await.unwrap();
    drop(store);
    let store = on(&disk, options()).await;
    assert_eq!(everything(&store).await, (head, expected));
}

#[tokio::test]
async fn a_load_under_way_outlives_reclaiming() {
    let disk = SimDisk::new(4);
    let options = Options {
        segment_bytes: 8 << 10,
        reclaim_bytes: 16 << 10,
        ..Options::default()
    };
    let store = on(&disk, options).await;
    for n in 0..100 {
        committed(&store, Txn::new().put(format!("k/{n}"), "old")).await;
    }
    let mut load = store.load().await.unwrap();
    for n in 0..1000 {
        committed(
            &store,
            Txn::new().put(format!("k/{}", n % 100), vec![b'x'; 200]),
        )
        .await;
    }
    let page = load.pages.next().await.unwrap().unwrap();
    assert_eq!(page.len(), 100);
    assert!(page.iter().all(|entry| entry.value == "old"));
}

async fn on(disk: &SimDisk, options: Options) -> SharedStore {
    let disk = disk.disk();
    let open = move || Embedded::open_on(disk, &options);
    let store = tokio::task::spawn_blocking(open).await.unwrap().unwrap();
    Arc::new(store)
}

fn spawn_commit(store: &SharedStore, txn: Txn) -> tokio::task::JoinHandle<Result<Outcome, Error>> {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.commit(txn).await })
}

async fn held_sync(disk: &SimDisk) {
    let disk = disk.clone();
    let held = tokio::task::spawn_blocking(move || disk.wait_for_held_sync());
    tokio::time::timeout(PATIENCE, held).await.unwrap().unwrap();
}
