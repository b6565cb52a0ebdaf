//! One replica of several is elected, and what an earlier one still writes fails.

use std::sync::Arc;
use std::time::Duration;

use buzonera_directory::election::{Election, ElectionConfig, Term};
use buzonera_directory::store::embedded::{Embedded, Options};
use buzonera_directory::store::{Outcome, SharedStore, Txn};
use kit::lifecycle::{DRAIN, Shutdown};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::etcd::shared;
use crate::store_suite::{PATIENCE, share};

fn quick() -> ElectionConfig {
    ElectionConfig {
        ttl: Duration::from_secs(3),
        retry: Duration::from_millis(20),
    }
}

struct Candidate {
    election: Election,
    shutdown: Shutdown,
}

fn candidate(store: &SharedStore, instance: &str) -> Candidate {
    let shutdown = Shutdown::new(Duration::ZERO, DRAIN);
    let election = Election::start(Arc::clone(store), instance, quick(), shutdown.clone());
    Candidate { election, shutdown }
}

async fn elected(mut terms: watch::Receiver<Option<Term>>) -> Term {
    let term = tokio::time::timeout(PATIENCE, terms.wait_for(Option::is_some)).await;
    term.expect("nobody is elected").unwrap().unwrap()
}

async fn one_after_the_other(store: SharedStore) {
    let first = candidate(&store, "directory-0");
    let term = elected(first.election.term()).await;
    let second = candidate(&store, "directory-1");
    let fenced = |term: Term| term.fence(Txn::new()).put("moves/x", "1");
    let written = store.commit(fenced(term)).await.unwrap();
    assert!(matches!(written, Outcome::Committed(_)));
    assert_eq!(*second.election.term().borrow(), None);
    first.shutdown.trigger();
    let next = elected(second.election.term()).await;
    assert!(next.revision > term.revision);
    assert_eq!(store.commit(fenced(term)).await, Ok(Outcome::Conflict));
    assert!(matches!(
        store.commit(fenced(next)).await,
        Ok(Outcome::Committed(_))
    ));
}

#[tokio::test]
async fn on_an_embedded_store() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(folder.path(), Options::default()).await;
    one_after_the_other(share(store.unwrap())).await;
}

#[tokio::test]
async fn on_etcd() {
    one_after_the_other(share(shared().store("/buzonera/election/").await)).await;
}

#[tokio::test]
async fn one_that_vanished_is_followed_when_its_time_is_over() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(folder.path(), Options::default()).await;
    let store = share(store.unwrap());
    let first = candidate(&store, "directory-0");
    let term = elected(first.election.term()).await;
    let second = candidate(&store, "directory-1");
    // Its task is gone, as after a kill: nothing is given back.
    drop(first.election);
    assert!(elected(second.election.term()).await.revision > term.revision);
}

#[tokio::test]
async fn work_is_dropped_with_the_term() {
    let folder = TempDir::new().unwrap();
    let store = Embedded::open(folder.path(), Options::default()).await;
    let candidate = candidate(&share(store.unwrap()), "directory-0");
    let (working, mut works) = watch::channel(false);
    let work = |_term: Term| async {
        working.send_replace(true);
        let _dropped = OnDrop(&working);
        std::future::pending::<()>().await;
    };
    let leading = candidate.election.lead(work);
    let ending = async {
        works.wait_for(|works| *works).await.unwrap();
        candidate.shutdown.trigger();
    };
    let both = async { tokio::join!(leading, ending) };
    tokio::time::timeout(PATIENCE, both).await.unwrap();
    assert!(!*working.borrow());
}

/// Says that nothing works any more.
struct OnDrop<'a>(&'a watch::Sender<bool>);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}
