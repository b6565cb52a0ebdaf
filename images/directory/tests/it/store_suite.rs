//! What every store promises. Each function is one promise; `suite!` makes tests of them all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use buzonera_directory::store::{
    Change, Changes, Error, Expect, MAX_OPERATIONS, Outcome, Revision, SharedStore, Txn,
};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

/// Longer than any wait should be.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Makes a test of every promise for the store that `$open` opens.
macro_rules! suite {
    ($open:path: $($promise:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let opened = $open(stringify!($promise)).await;
                crate::store_suite::$promise(opened.store.clone()).await;
            }
        )+
    };
    ($open:path) => {
        crate::store_suite::suite! {
            $open:
            a_commit_is_read_back,
            conditions_hold_or_nothing_is_written,
            malformed_transactions_are_refused,
            a_load_shows_one_revision,
            a_watch_delivers_whole_transactions_in_order,
            a_watch_reaches_what_head_answers,
            watching_from_a_load_gives_the_same_as_loading_again,
            racing_increments_lose_nothing,
            keys_vanish_when_their_lease_ends,
            a_lease_lives_while_it_is_kept,
            a_revoked_lease_takes_its_keys,
            a_put_without_lease_takes_the_key_out_of_it,
            a_key_moves_to_the_lease_of_its_last_put,
        }
    };
}
pub(crate) use suite;

pub(crate) async fn committed(store: &SharedStore, txn: Txn) -> Revision {
    match store.commit(txn).await.unwrap() {
        Outcome::Committed(revision) => revision,
        Outcome::Conflict => panic!("conflict"),
    }
}

pub(crate) async fn value(store: &SharedStore, key: &str) -> Option<Bytes> {
    let entries = store.get(vec![key.to_owned()]).await.unwrap();
    entries.into_iter().next().unwrap().map(|entry| entry.value)
}

pub(crate) async fn everything(store: &SharedStore) -> (Revision, BTreeMap<String, Bytes>) {
    let mut load = store.load().await.unwrap();
    let mut found = BTreeMap::new();
    while let Some(page) = load.pages.next().await {
        for entry in page.unwrap() {
            assert!(entry.revision <= load.revision);
            assert!(
                found.insert(entry.key, entry.value).is_none(),
                "a key came twice"
            );
        }
    }
    (load.revision, found)
}

pub(crate) type Watch = BoxStream<'static, Result<Changes, Error>>;

/// The next transaction of a watch.
pub(crate) async fn next(watch: &mut Watch) -> Changes {
    loop {
        let changes = tokio::time::timeout(PATIENCE, watch.next()).await;
        let changes = changes.expect("the watch is silent").unwrap().unwrap();
        if !changes.changes.is_empty() {
            return changes;
        }
    }
}

fn put(key: &str, value: &str) -> Change {
    Change {
        key: key.to_owned(),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
    }
}

fn gone(key: &str) -> Change {
    Change {
        key: key.to_owned(),
        value: None,
    }
}

pub(crate) async fn a_commit_is_read_back(store: SharedStore) {
    let first = committed(&store, Txn::new().put("a/1", "x").put("a/2", "y")).await;
    let second = committed(&store, Txn::new().put("a/1", "z").delete("a/2")).await;
    assert!(second > first);
    let keys = ["a/2", "a/1", "a/3"].map(str::to_owned).to_vec();
    let entries = store.get(keys).await.unwrap();
    assert!(entries[0].is_none() && entries[2].is_none());
    let entry = entries[1].clone().unwrap();
    assert_eq!((&entry.key[..], &entry.value[..]), ("a/1", &b"z"[..]));
    assert_eq!(entry.revision, second);
    assert!(store.head().await.unwrap() >= second);
    let (_, all) = everything(&store).await;
    assert_eq!(all, BTreeMap::from([("a/1".to_owned(), Bytes::from("z"))]));
}

pub(crate) async fn conditions_hold_or_nothing_is_written(store: SharedStore) {
    let old = committed(&store, Txn::new().put("there", "1")).await;
    let now = committed(&store, Txn::new().put("there", "2")).await;
    let table = [
        ("there", Expect::Present, true),
        ("there", Expect::Absent, false),
        ("there", Expect::At(now), true),
        ("there", Expect::At(old), false),
        ("never", Expect::Absent, true),
        ("never", Expect::Present, false),
        ("never", Expect::At(now), false),
        ("deleted", Expect::Absent, true),
        ("deleted", Expect::Present, false),
    ];
    committed(&store, Txn::new().put("deleted", "1")).await;
    committed(&store, Txn::new().delete("deleted")).await;
    for (number, (key, expect, holds)) in table.into_iter().enumerate() {
        let written = format!("written/{number}");
        // A second condition that always holds must not hide the first.
        let txn = Txn::new().when(key, expect).when("there", Expect::Present);
        let outcome = store.commit(txn.put(&written, "1")).await.unwrap();
        assert_eq!(outcome != Outcome::Conflict, holds, "{key} {expect:?}");
        assert_eq!(
            value(&store, &written).await.is_some(),
            holds,
            "{key} {expect:?}"
        );
    }
}

pub(crate) async fn malformed_transactions_are_refused(store: SharedStore) {
    let twice = Txn::new().put("a", "1").put("a", "2");
    let many = (0..=MAX_OPERATIONS).fold(Txn::new(), |txn, n| txn.put(format!("k{n}"), "1"));
    for txn in [Txn::new(), twice, many] {
        let refused = store.commit(txn).await;
        assert!(matches!(refused, Err(Error::Malformed(_))), "{refused:?}");
    }
    let most = (0..MAX_OPERATIONS).fold(Txn::new(), |txn, n| {
        let key = format!("k{n}");
        txn.when(&key, Expect::Absent).put(&key, "1")
    });
    committed(&store, most).await;
    assert_eq!(everything(&store).await.1.len(), MAX_OPERATIONS);
}

pub(crate) async fn a_load_shows_one_revision(store: SharedStore) {
    for batch in 0..5 {
        let txn = (0..100).fold(Txn::new(), |txn, n| {
            txn.put(format!("accounts/{batch}-{n}"), "old")
        });
        committed(&store, txn).await;
    }
    let mut load = store.load().await.unwrap();
    let first = load.pages.next().await.unwrap().unwrap();
    for batch in 0..5 {
        let txn = (0..100).fold(Txn::new(), |txn, n| match n % 2 {
            0 => txn.put(format!("accounts/{batch}-{n}"), "new"),
            _ => txn.delete(format!("accounts/{batch}-{n}")),
        });
        committed(&store, txn.put(format!("domains/{batch}"), "new")).await;
    }
    let mut entries = first;
    while let Some(page) = load.pages.next().await {
        entries.extend(page.unwrap());
    }
    assert_eq!(entries.len(), 500);
    for entry in entries {
        assert_eq!(&entry.value[..], b"old", "{}", entry.key);
    }
}

pub(crate) async fn a_watch_delivers_whole_transactions_in_order(store: SharedStore) {
    let before = committed(&store, Txn::new().put("a", "0").put("b", "0")).await;
    let first = committed(&store, Txn::new().put("a", "1").put("c", "1")).await;
    let mut watch = store.watch(before);
    let second = committed(&store, Txn::new().put("a", "2").delete("b")).await;
    let mut changes = next(&mut watch).await;
    changes.changes.sort_by(|x, y| x.key.cmp(&y.key));
    assert_eq!(changes.revision, first);
    assert_eq!(changes.changes, [put("a", "1"), put("c", "1")]);
    let mut changes = next(&mut watch).await;
    changes.changes.sort_by(|x, y| x.key.cmp(&y.key));
    assert_eq!(changes.revision, second);
    assert_eq!(changes.changes, [put("a", "2"), gone("b")]);
}

pub(crate) async fn a_watch_reaches_what_head_answers(store: SharedStore) {
    let last = committed(&store, Txn::new().put("a", "1")).await;
    let mut watch = store.watch(last);
    let mut reached = last;
    for n in 0..20 {
        // Changes no key, so nothing but the watch's own word can show how far it is.
        let nothing = Txn::new().delete(format!("never/{n}"));
        committed(&store, nothing).await;
        let head = store.head().await.unwrap();
        while reached < head {
            let changes = tokio::time::timeout(PATIENCE, watch.next()).await;
            reached = changes
                .expect("the watch is silent")
                .unwrap()
                .unwrap()
                .revision;
        }
    }
}

pub(crate) async fn watching_from_a_load_gives_the_same_as_loading_again(store: SharedStore) {
    let writers: Vec<_> = (0..4)
        .map(|seed| tokio::spawn(write_much(store.clone(), seed)))
        .collect();
    tokio::task::yield_now().await;
    let (revision, mut seen) = everything(&store).await;
    let mut watch = store.watch(revision);
    for writer in writers {
        writer.await.unwrap();
    }
    let (end, expected) = everything(&store).await;
    let mut reached = revision;
    while reached < end {
        let changes = tokio::time::timeout(PATIENCE, watch.next()).await;
        let changes = changes.expect("the watch is silent").unwrap().unwrap();
        assert!(changes.revision > reached);
        reached = changes.revision;
        for change in changes.changes {
            match change.value {
                Some(value) => drop(seen.insert(change.key, value)),
                None => drop(seen.remove(&change.key)),
            }
        }
    }
    assert_eq!(seen, expected);
}

async fn write_much(store: SharedStore, seed: u64) {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1;
    for _ in 0..100 {
        let mut txn = Txn::new();
        for part in 0..3 {
            // xorshift64: any numbers, the same for the same seed.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let key = format!("k/{part}/{}", state % 40);
            txn = match state % 3 {
                0 => txn.delete(key),
                _ => txn.put(key, state.to_string()),
            };
        }
        committed(&store, txn).await;
    }
}

pub(crate) async fn racing_increments_lose_nothing(store: SharedStore) {
    committed(&store, Txn::new().put("n", "0")).await;
    let tasks: Vec<_> = (0..8)
        .map(|_| tokio::spawn(increment(store.clone(), 10)))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(value(&store, "n").await.unwrap(), "80");
}

async fn increment(store: SharedStore, mut times: u32) {
    while times > 0 {
        let entry = store
            .get(vec!["n".to_owned()])
            .await
            .unwrap()
            .remove(0)
            .unwrap();
        let n: u32 = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
        let txn = Txn::new().when("n", Expect::At(entry.revision));
        let outcome = store
            .commit(txn.put("n", (n + 1).to_string()))
            .await
            .unwrap();
        times -= u32::from(outcome != Outcome::Conflict);
    }
}

pub(crate) async fn keys_vanish_when_their_lease_ends(store: SharedStore) {
    let lease = store.grant(Duration::from_secs(1)).await.unwrap();
    let txn = Txn::new()
        .put_leased("l/1", "x", lease)
        .put_leased("l/2", "x", lease);
    let put_at = committed(&store, txn.put("stays", "x")).await;
    let mut watch = store.watch(put_at);
    let mut changes = next(&mut watch).await;
    changes.changes.sort_by(|x, y| x.key.cmp(&y.key));
    assert_eq!(changes.changes, [gone("l/1"), gone("l/2")]);
    assert_eq!(value(&store, "l/1").await, None);
    assert!(value(&store, "stays").await.is_some());
    assert_eq!(store.keep_alive(lease).await, Err(Error::LeaseGone));
    let late = store
        .commit(Txn::new().put_leased("late", "x", lease))
        .await;
    assert_eq!(late, Err(Error::LeaseGone));
    assert_eq!(value(&store, "late").await, None);
}

pub(crate) async fn a_lease_lives_while_it_is_kept(store: SharedStore) {
    let ttl = Duration::from_secs(2);
    let lease = store.grant(ttl).await.unwrap();
    committed(&store, Txn::new().put_leased("kept", "x", lease)).await;
    let start = tokio::time::Instant::now();
    while start.elapsed() < ttl * 2 {
        assert_eq!(store.keep_alive(lease).await, Ok(ttl));
        assert!(value(&store, "kept").await.is_some());
        tokio::time::sleep(ttl / 8).await;
    }
}

pub(crate) async fn a_revoked_lease_takes_its_keys(store: SharedStore) {
    let lease = store.grant(PATIENCE).await.unwrap();
    let put_at = committed(&store, Txn::new().put_leased("a", "x", lease)).await;
    store.revoke(lease).await.unwrap();
    assert_eq!(value(&store, "a").await, None);
    let mut watch = store.watch(put_at);
    assert_eq!(next(&mut watch).await.changes, [gone("a")]);
    assert_eq!(store.keep_alive(lease).await, Err(Error::LeaseGone));
    assert_eq!(store.revoke(lease).await, Ok(()));
}

pub(crate) async fn a_put_without_lease_takes_the_key_out_of_it(store: SharedStore) {
    let lease = store.grant(PATIENCE).await.unwrap();
    committed(&store, Txn::new().put_leased("a", "1", lease)).await;
    committed(&store, Txn::new().put("a", "2")).await;
    store.revoke(lease).await.unwrap();
    assert_eq!(value(&store, "a").await.unwrap(), "2");
}

pub(crate) async fn a_key_moves_to_the_lease_of_its_last_put(store: SharedStore) {
    let old = store.grant(PATIENCE).await.unwrap();
    let new = store.grant(PATIENCE).await.unwrap();
    committed(&store, Txn::new().put_leased("a", "1", old)).await;
    committed(&store, Txn::new().put_leased("a", "2", new)).await;
    store.revoke(old).await.unwrap();
    assert_eq!(value(&store, "a").await.unwrap(), "2");
    store.revoke(new).await.unwrap();
    assert_eq!(value(&store, "a").await, None);
}

/// A store and what has to outlive it.
pub(crate) struct Opened<T> {
    pub(crate) store: SharedStore,
    pub(crate) _keep: T,
}

impl<T> Opened<T> {
    pub(crate) fn new(store: SharedStore, keep: T) -> Self {
        Self { store, _keep: keep }
    }
}

/// Shares a store.
pub(crate) fn share(store: impl buzonera_directory::store::Store) -> SharedStore {
    Arc::new(store)
}
