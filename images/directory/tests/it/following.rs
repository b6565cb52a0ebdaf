//! A map that has fallen too far behind its store is loaded again, and replaced as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use buzonera_directory::map::{News, Shared, follow};
use buzonera_directory::store::embedded::{Embedded, Options};
use buzonera_directory::store::lagging::Lagging;
use buzonera_directory::store::{Revision, SharedStore, Txn};
use tempfile::TempDir;

use crate::store_suite::{PATIENCE, committed};

/// Transactions that the store remembers for watches.
const HISTORY: usize = 4;

async fn reached(shared: &Shared, revision: Revision) {
    let mut news = shared.reached();
    let reached = news.wait_for(|reached| *reached >= revision);
    tokio::time::timeout(PATIENCE, reached)
        .await
        .expect("the map stays behind")
        .unwrap();
}

#[tokio::test]
async fn what_was_compacted_away_is_loaded_and_swapped_never_merged() {
    let folder = TempDir::new().unwrap();
    let options = Options {
        history_transactions: HISTORY,
        ..Options::default()
    };
    let store = Embedded::open(folder.path(), options).await.unwrap();
    let store: SharedStore = Arc::new(store);
    let lagging = Arc::new(Lagging::new(Arc::clone(&store)));
    let shared = Arc::new(Shared::default());
    let following = tokio::spawn(follow(lagging.clone(), Arc::clone(&shared), |_| true));
    let first = committed(&store, Txn::new().put("domains/old.example", "")).await;
    reached(&shared, first).await;
    assert!(shared.read().domain("old.example").is_some());
    let (_, _, mut news) = shared.follow(|_| Vec::<()>::new());

    lagging.hold();
    // The deletion is among what is forgotten, so only a new load can show it.
    committed(&store, Txn::new().delete("domains/old.example")).await;
    let mut last = first;
    for number in 0..3 * HISTORY {
        let key = format!("domains/new-{number}.example");
        last = committed(&store, Txn::new().put(key, "")).await;
    }
    assert!(shared.revision() < last);
    lagging.release();

    reached(&shared, last).await;
    let map = shared.read();
    assert!(map.domain("old.example").is_none());
    assert_eq!(map.domain_count(), 3 * HISTORY);
    drop(map);
    let mut reloaded = false;
    while let Ok(what) = news.try_recv() {
        reloaded |= matches!(what, News::Reloaded);
    }
    assert!(reloaded, "those who follow are not told");
    following.abort();
}

#[tokio::test]
async fn a_store_that_lost_its_cluster_is_not_taken_for_one_without_users() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(folder.path(), Options::default()).await;
    let store: SharedStore = Arc::new(store.unwrap());
    let shared = Arc::new(Shared::default());
    let first = committed(&store, Txn::new().put("domains/kept.example", "")).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let following = tokio::spawn({
        let (asked, shared) = (Arc::clone(&asked), Arc::clone(&shared));
        follow(Arc::clone(&store), shared, move |found| {
            assert_eq!(found, None);
            asked.fetch_add(1, Ordering::Relaxed) > 0
        })
    });
    reached(&shared, first).await;
    assert!(asked.load(Ordering::Relaxed) > 1);
    following.abort();
}
