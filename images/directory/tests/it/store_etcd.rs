//! The store's promises on a real etcd, and what is etcd's alone.

use std::time::Duration;

use buzonera_directory::store::etcd::{Etcd, Options};
use buzonera_directory::store::{Error, Store, Txn};
use futures::StreamExt;
use rustix::process::{Pid, Signal, kill_process};

use crate::etcd::{Server, shared};
use crate::far;
use crate::store_suite::{self, Opened, PATIENCE, committed, everything, share, value};

async fn open(test: &str) -> Opened<()> {
    let mut options = shared().options(format!("/buzonera/{test}/"));
    // Small enough that the suite's loads have several.
    options.page_entries = 70;
    Opened::new(share(shared().store_with(options).await), ())
}

store_suite::suite!(open);

#[tokio::test]
async fn clusters_of_one_etcd_do_not_see_each_other() {
    let one = share(shared().store("/buzonera/neighbour-a/").await);
    let two = share(shared().store("/buzonera/neighbour-b/").await);
    let start = one.head().await.unwrap();
    let mut watch = one.watch(start);
    committed(&two, Txn::new().put("a", "theirs")).await;
    committed(&one, Txn::new().put("a", "ours")).await;
    let seen = store_suite::next(&mut watch).await;
    assert_eq!(seen.changes[0].value.as_ref().unwrap(), "ours");
    assert_eq!(everything(&one).await.1.len(), 1);
}

#[tokio::test]
async fn the_writes_of_others_do_not_keep_a_watch_behind() {
    let ours = share(shared().store("/buzonera/quiet/").await);
    let theirs = share(shared().store("/buzonera/busy/").await);
    let mut reached = ours.head().await.unwrap();
    let mut watch = ours.watch(reached);
    committed(&theirs, Txn::new().put("a", "1")).await;
    let head = ours.head().await.unwrap();
    assert!(head > reached);
    while reached < head {
        let changes = tokio::time::timeout(PATIENCE, watch.next()).await;
        let changes = changes.expect("the watch is silent").unwrap().unwrap();
        assert!(changes.changes.is_empty());
        reached = changes.revision;
    }
}

#[tokio::test]
async fn a_watch_from_before_a_compaction_is_told() {
    let server = Server::start();
    let store = share(server.store("/buzonera/a/").await);
    let first = committed(&store, Txn::new().put("a", "1")).await;
    let mut last = first;
    for n in 0..5 {
        last = committed(&store, Txn::new().put("a", n.to_string())).await;
    }
    server.compact(last.0);
    let told = store.watch(first).next().await.unwrap();
    assert_eq!(told, Err(Error::Compacted(first)));
    assert_eq!(everything(&store).await.1.len(), 1);
}

#[tokio::test]
async fn a_member_that_is_away_is_passed_over() {
    let gone = Server::start();
    let away = gone.endpoint();
    drop(gone);
    let options = Options::new(vec![away, shared().endpoint()], "/buzonera/passed-over/");
    let store = share(Etcd::new(options).unwrap());
    committed(&store, Txn::new().put("a", "1")).await;
    assert_eq!(value(&store, "a").await.unwrap(), "1");
}

#[tokio::test]
async fn an_answer_that_takes_longer_than_patience_counts() {
    let delay = Duration::from_millis(500);
    let address = far::away(shared().address(), delay).await;
    let mut options = Options::new(vec![format!("http://{address}")], "/buzonera/far/");
    options.attempt_timeout = delay / 2;
    options.read_timeout = PATIENCE;
    share(Etcd::new(options).unwrap()).head().await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_away_says_so_within_the_deadline() {
    let server = Server::start();
    let mut options = Options::new(vec![server.endpoint()], "/buzonera/a/");
    options.read_timeout = Duration::from_millis(300);
    options.write_timeout = options.read_timeout;
    options.attempt_timeout = options.read_timeout;
    drop(server);
    let store = share(Etcd::new(options).unwrap());
    let head = tokio::time::timeout(PATIENCE, store.head()).await.unwrap();
    assert!(matches!(head, Err(Error::Unavailable(_))), "{head:?}");
    let commit = store.commit(Txn::new().put("a", "1")).await;
    assert!(matches!(commit, Err(Error::Unavailable(_))), "{commit:?}");
    let watch = store.watch(Default::default()).next().await.unwrap();
    assert!(matches!(watch, Err(Error::Unavailable(_))), "{watch:?}");
}

#[tokio::test]
async fn a_commit_without_an_answer_is_unknown() {
    let server = Server::start();
    let store = share(server.store("/buzonera/a/").await);
    committed(&store, Txn::new().put("a", "1")).await;
    let mut options = Options::new(vec![server.endpoint()], "/buzonera/a/");
    options.read_timeout = Duration::from_secs(1);
    options.write_timeout = options.read_timeout;
    // Its connection stands before etcd freezes, so that what it sends may arrive.
    let hasty = server.store_with(options).await;
    signal(&server, Signal::STOP);
    // Its threads stop one after the other, and one that still runs may answer.
    while !is_stopped(&server) {
        tokio::task::yield_now().await;
    }
    let commit = hasty.commit(Txn::new().put("a", "2")).await;
    let head = hasty.head().await;
    signal(&server, Signal::CONT);
    assert!(matches!(commit, Err(Error::Unknown(_))), "{commit:?}");
    assert!(matches!(head, Err(Error::Unavailable(_))), "{head:?}");
    // A reader finds out what became of it.
    let now = value(&store, "a").await.unwrap();
    assert!(now == "1" || now == "2", "{now:?}");
}

#[tokio::test]
async fn a_watch_ends_when_etcd_does() {
    let server = Server::start();
    let store = server.store("/buzonera/a/").await;
    let mut watch = store.watch(store.head().await.unwrap());
    drop(server);
    let end = tokio::time::timeout(PATIENCE, watch.next())
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(end, Err(Error::Unavailable(_))), "{end:?}");
}

fn is_stopped(server: &Server) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let stat = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("stat"));
    // The state comes after the name, which is in brackets.
    let stopped = |stat: String| stat.rsplit(')').next().unwrap().starts_with(" T");
    tasks.flatten().all(|task| stat(task).is_ok_and(stopped))
}

fn signal(server: &Server, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}
