//! What `buzonera spool` gets to see.

use std::sync::Arc;

use kit::rpc::Caller;
use kit::services::spool_admin_server::SpoolAdmin;
use segments::sim::SimDisk;
use tonic::{Code, Request};
use wire::identity::{Identity, Tier};
use wire::ids::ClusterId;
use wire::rpc::{SpoolListRequest, SpoolRetryRequest, SpoolShowRequest};

use super::support::*;
use crate::spool::admin::Service;
use crate::spool::{Outcome, Spool};

pub(super) fn admin<T>(message: T) -> Request<T> {
    let identity = Identity::new(ClusterId::random(), Tier::Admin, "one").unwrap();
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller {
        identity: Arc::new(identity),
        address: "192.0.2.1:1".parse().unwrap(),
    });
    request
}

/// A spool with entries 1 to 3; target 3 of each is a dead letter.
async fn filled(time: &Time) -> (Spool, Service) {
    let sim = SimDisk::new(1);
    let spool = open(&sim, time);
    let shards = Shards::new(time, |_, target, _| match target.account == account(3) {
        true => Outcome::Dead("removed".to_owned()),
        false => Outcome::Retry("away".to_owned()),
    });
    let (shutdown, running) = start(&spool, &shards);
    for number in 1..4 {
        spool
            .accept(message(number, 20_000, &[2, 3]))
            .await
            .unwrap();
    }
    time.until("3 dead", &spool, || spool.counts().dead == 3)
        .await;
    shutdown.trigger();
    running.await.unwrap();
    (spool.clone(), Service::new(spool, door()))
}

#[tokio::test]
async fn lists_page_by_page() {
    let (_spool, service) = filled(&Time::new()).await;
    let request = |after, shard: &str| SpoolListRequest {
        after,
        limit: 2,
        shard: shard.to_owned(),
    };
    let mut seen = Vec::new();
    for after in [0, 2, 3] {
        let reply = service
            .list(admin(request(after, "")))
            .await
            .unwrap()
            .into_inner();
        seen.push(
            reply
                .entries
                .iter()
                .map(|entry| entry.entry)
                .collect::<Vec<_>>(),
        );
        assert_eq!(
            (reply.total_entries, reply.total_pending, reply.total_dead),
            (3, 3, 3)
        );
    }
    assert_eq!(seen, [vec![1, 2], vec![3], vec![]]);
    let none = service
        .list(admin(request(0, "shard-9")))
        .await
        .unwrap()
        .into_inner();
    assert!(none.entries.is_empty());
    let dead = service
        .dead_letters(admin(request(0, "shard-1")))
        .await
        .unwrap()
        .into_inner();
    let targets = &dead.entries[0].targets;
    assert_eq!(
        (targets[0].dead.as_str(), targets[0].last_error.as_str()),
        ("", "away")
    );
    assert_eq!(
        (targets[1].dead.as_str(), targets[1].next_attempt_ms),
        ("removed", 0)
    );
}

#[tokio::test]
async fn shows_an_entry() {
    let (_spool, service) = filled(&Time::new()).await;
    let shown = service
        .show(admin(SpoolShowRequest { entry: 2 }))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (shown.size, shown.reverse_path.as_str()),
        (20_000, "sender@example.com")
    );
    assert_eq!(shown.head, body(2, 20_000)[..16 << 10]);
    let gone = service
        .show(admin(SpoolShowRequest { entry: 9 }))
        .await
        .unwrap_err();
    assert_eq!(
        (gone.code(), gone.message()),
        (Code::NotFound, "the spool has no entry 9")
    );
}

#[tokio::test]
async fn retries() {
    let time = Time::new();
    let (spool, service) = filled(&time).await;
    let retry = |entries: &[u64], all| {
        let entries = entries.to_vec();
        service.retry(admin(SpoolRetryRequest { entries, all }))
    };
    assert_eq!(
        retry(&[], false).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    assert_eq!(
        retry(&[1], true).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    assert_eq!(
        retry(&[1; 1001], false).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    assert_eq!(retry(&[], true).await.unwrap().into_inner().targets, 3);
    assert_eq!(
        retry(&[2, 77], false).await.unwrap().into_inner().targets,
        2
    );
    assert_eq!(spool.counts().dead, 2);
    assert!(spool.due().iter().all(|(_, due)| *due <= time.now()));
}
