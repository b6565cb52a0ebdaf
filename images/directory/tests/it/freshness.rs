//! The proof that a replica is current.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use buzonera_directory::map::{Shared, follow};
use buzonera_directory::store::embedded::{Embedded, Options};
use buzonera_directory::store::lagging::Lagging;
use buzonera_directory::store::{
    Alarm, Answer, Changes, Entry, Error, Freshness, Key, LeaseId, Load, Outcome, Revision,
    SharedStore, Store, Txn, Unsure,
};
use futures::future::{FutureExt, join_all};
use futures::stream::BoxStream;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::store_suite::{PATIENCE, committed};

/// Long enough to show that an answer does not come, short enough to wait for.
const SOON: Duration = Duration::from_millis(50);

async fn embedded() -> (SharedStore, TempDir) {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(folder.path(), Options::default()).await;
    (Arc::new(store.unwrap()), folder)
}

fn in_time() -> Instant {
    Instant::now() + PATIENCE
}

#[tokio::test]
async fn a_replica_that_lags_is_not_current_until_it_has_caught_up() {
    let (store, _folder) = embedded().await;
    let lagging = Arc::new(Lagging::new(Arc::clone(&store)));
    let shared = Arc::new(Shared::default());
    let following = tokio::spawn(follow(lagging.clone(), Arc::clone(&shared), |_| true));
    let freshness = Freshness::new(lagging.clone(), shared.reached());
    committed(&store, Txn::new().put("domains/a.example", "")).await;
    assert_eq!(freshness.prove_current(in_time()).await, Ok(()));
    lagging.hold();
    let last = committed(&store, Txn::new().put("domains/b.example", "")).await;
    let behind = freshness.prove_current(Instant::now() + SOON).await;
    assert_eq!(behind, Err(Unsure::Behind));
    let waiting = freshness.prove_current(in_time());
    tokio::pin!(waiting);
    assert!(waiting.as_mut().now_or_never().is_none());
    lagging.release();
    assert_eq!(waiting.await, Ok(()));
    assert!(shared.revision() >= last);
    following.abort();
}

#[tokio::test]
async fn all_who_wait_share_the_next_read_and_none_joins_one_under_way() {
    let counting = Arc::new(Counting::default());
    let (_applied, reached) = tokio::sync::watch::channel(Revision(u64::MAX));
    let freshness = Freshness::new(counting.clone(), reached);
    let first = freshness.prove_current(in_time());
    tokio::pin!(first);
    assert!(first.as_mut().now_or_never().is_none());
    counting.begun(1).await;
    // These came while a read was under way: the next one is theirs, all of theirs.
    let others = join_all((0..100).map(|_| freshness.prove_current(in_time())));
    tokio::pin!(others);
    assert!(others.as_mut().now_or_never().is_none());
    counting.answers.add_permits(1);
    assert_eq!(first.await, Ok(()));
    counting.begun(2).await;
    assert!(others.as_mut().now_or_never().is_none());
    counting.answers.add_permits(1);
    assert!(others.await.into_iter().all(|proof| proof == Ok(())));
    assert_eq!(counting.reads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_store_that_is_slow_or_away_proves_nothing() {
    let counting = Arc::new(Counting::default());
    let (_applied, reached) = tokio::sync::watch::channel(Revision(u64::MAX));
    let freshness = Freshness::new(counting.clone(), reached);
    let slow = freshness.prove_current(Instant::now() + SOON).await;
    assert_eq!(slow, Err(Unsure::Slow));
    counting.away.store(1, Ordering::SeqCst);
    counting.answers.add_permits(2);
    let away = freshness.prove_current(in_time()).await;
    assert!(
        matches!(away, Err(Unsure::Store(Error::Unavailable(_)))),
        "{away:?}"
    );
}

/// A store whose heads are read one permit at a time. Nothing else of it is used.
struct Counting {
    reads: AtomicUsize,
    away: AtomicUsize,
    answers: Semaphore,
}

impl Default for Counting {
    fn default() -> Self {
        Self {
            reads: AtomicUsize::new(0),
            away: AtomicUsize::new(0),
            answers: Semaphore::new(0),
        }
    }
}

impl Counting {
    async fn begun(&self, reads: usize) {
        while self.reads.load(Ordering::SeqCst) < reads {
            tokio::task::yield_now().await;
        }
    }
}

impl Store for Counting {
    fn kind(&self) -> &'static str {
        "counting"
    }

    fn head(&self) -> Answer<'_, Revision> {
        async {
            self.reads.fetch_add(1, Ordering::SeqCst);
            self.answers.acquire().await.unwrap().forget();
            match self.away.load(Ordering::SeqCst) {
                0 => Ok(Revision(7)),
                _ => Err(Error::Unavailable("away".to_owned())),
            }
        }
        .boxed()
    }

    fn load(&self) -> Answer<'_, Load> {
        unreachable!("not read")
    }

    fn get(&self, _keys: Vec<Key>) -> Answer<'_, Vec<Option<Entry>>> {
        unreachable!("not read")
    }

    fn watch(&self, _after: Revision) -> BoxStream<'static, Result<Changes, Error>> {
        unreachable!("not watched")
    }

    fn commit(&self, _txn: Txn) -> Answer<'_, Outcome> {
        unreachable!("not written")
    }

    fn grant(&self, _ttl: Duration) -> Answer<'_, LeaseId> {
        unreachable!("no leases")
    }

    fn keep_alive(&self, _lease: LeaseId) -> Answer<'_, Duration> {
        unreachable!("no leases")
    }

    fn revoke(&self, _lease: LeaseId) -> Answer<'_, ()> {
        unreachable!("no leases")
    }

    fn alarms(&self) -> Answer<'_, Vec<Alarm>> {
        unreachable!("no alarms")
    }
}
