//! A shard under a directory: what it is told to have it has, and says so once it is durable.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use buzonera_storage::shard::Ending;
use buzonera_storage::{Error, Storage};
use kit::admin::Admin;
use kit::frame::bind;
use tonic::Code;
use wire::identity::Tier;
use wire::ids::{AccountId, DeliveryId, Incarnation};
use wire::rpc::confirmation::What;
use wire::rpc::deliver_outcome::Outcome;
use wire::rpc::deliver_part::Part;
use wire::rpc::{
    AccountState, AccountUsageRequest, DeliverCommit, DeliverHeader, DeliverPart, DeliverTarget,
};

use crate::net::{Cluster, Running, until};
use crate::rig::account;

/// Delivers a small message; the outcome of its one target.
pub(crate) async fn deliver(
    cluster: &Cluster,
    shard: &Running,
    id: AccountId,
    epoch: u64,
    message: u8,
) -> Result<Outcome, tonic::Status> {
    let body = format!("Subject: {message}\r\n\r\nhello\r\n").into_bytes();
    let header = DeliverHeader {
        transaction_id: "t".to_owned(),
        size: body.len() as u64,
        targets: vec![DeliverTarget {
            account: id.to_field(),
            epoch,
            prefix: "Return-Path: <>\r\n".into(),
        }],
    };
    let commit = DeliverCommit {
        delivery_id: DeliveryId::from_bytes([message; 16]).to_field(),
        received_at_ms: 5,
    };
    let parts = [
        Part::Header(header),
        Part::Chunk(body.into()),
        Part::Commit(commit),
    ];
    let parts = parts.map(|part| DeliverPart { part: Some(part) });
    let mut client = cluster.shard(shard, Tier::Mx);
    let reply = client
        .deliver(tokio_stream::iter(parts))
        .await?
        .into_inner();
    Ok(reply.outcomes[0].outcome.clone().unwrap())
}

/// Creates an account as the directory does, and waits until mail goes in.
pub(crate) async fn create(cluster: &Cluster, shard: &Running, id: AccountId) {
    cluster.says(id, &shard.name, 1, AccountState::Creating);
    cluster.confirmed(id, 1, What::Created.into()).await;
    cluster.says(id, &shard.name, 1, AccountState::Active);
}

#[tokio::test]
async fn created_served_removed_restored_and_purged() {
    let cluster = Cluster::new().await;
    let shard = cluster.start("shard-1").await;
    let a = account(1);
    create(&cluster, &shard, a).await;
    let outcome = deliver(&cluster, &shard, a, 1, 1).await.unwrap();
    assert!(matches!(outcome, Outcome::Stored(_)), "{outcome:?}");
    let again = deliver(&cluster, &shard, a, 1, 1).await.unwrap();
    assert!(matches!(again, Outcome::Duplicate(_)), "{again:?}");

    cluster.says(a, "shard-1", 2, AccountState::Removed);
    cluster.confirmed(a, 2, What::Suspended.into()).await;
    let outcome = deliver(&cluster, &shard, a, 1, 2).await.unwrap();
    assert_eq!(outcome, Outcome::Moved(2));

    cluster.says(a, "shard-1", 3, AccountState::Active);
    let outcome = deliver(&cluster, &shard, a, 3, 2).await.unwrap();
    assert!(
        matches!(&outcome, Outcome::Stored(at) if at.uid == 2),
        "{outcome:?}"
    );

    cluster.says(a, "shard-1", 4, AccountState::Removed);
    cluster.says(a, "shard-1", 4, AccountState::Purging);
    cluster.confirmed(a, 4, What::Dropped.into()).await;
    let mut client = cluster.shard(&shard, Tier::Directory);
    let request = AccountUsageRequest {
        accounts: vec![a.to_field()],
    };
    let usage = client.account_usage(request).await.unwrap().into_inner();
    assert!(!usage.usages[0].found);
    shard.stop().await;
}

#[tokio::test]
async fn a_restart_keeps_mail_and_raises_the_incarnation() {
    let cluster = Cluster::new().await;
    let a = account(1);
    let shard = cluster.start("shard-1").await;
    create(&cluster, &shard, a).await;
    deliver(&cluster, &shard, a, 1, 1).await.unwrap();
    shard.stop().await;
    cluster.script.ttl_ms.store(600, Ordering::SeqCst);
    let shard = cluster.start("shard-1").await;
    let again = deliver(&cluster, &shard, a, 1, 1).await.unwrap();
    assert!(matches!(again, Outcome::Duplicate(_)), "{again:?}");
    until("renewed by the second incarnation", || {
        let mut renewals = cluster.renewals().into_iter();
        renewals.any(|renewal| renewal.incarnation == 2)
    })
    .await;
    shard.stop().await;
}

#[tokio::test]
async fn a_locked_volume_is_refused() {
    let cluster = Cluster::new().await;
    let shard = cluster.start("shard-1").await;
    create(&cluster, &shard, account(1)).await;
    let (config, admin) = (cluster.config("shard-1"), Admin::default());
    let refused = bind::<Storage>(config, &admin, &cluster.shutdown).await;
    let refused = refused.err().unwrap();
    let text = refused.to_string();
    assert!(text.contains("incarnation 1"), "{text}");
    assert!(
        text.contains(&format!("pid {}", std::process::id())),
        "{text}"
    );
    shard.stop().await;
}

#[tokio::test]
async fn another_shards_volume_is_refused() {
    let cluster = Cluster::new().await;
    let shard = cluster.start("shard-1").await;
    create(&cluster, &shard, account(1)).await;
    shard.stop().await;
    std::fs::rename(cluster.data("shard-1"), cluster.data("shard-2")).unwrap();
    let other = cluster.start("shard-2").await;
    let error = other.ended().await.unwrap_err();
    assert!(matches!(error, Error::Foreign { .. }), "{error}");
}

#[tokio::test]
async fn a_superseded_shard_ends() {
    let cluster = Cluster::new().await;
    cluster.script.ttl_ms.store(600, Ordering::SeqCst);
    let shard = cluster.start("shard-1").await;
    create(&cluster, &shard, account(1)).await;
    cluster.script.superseded.store(true, Ordering::SeqCst);
    let error = shard.ended().await.unwrap_err();
    assert!(
        matches!(error, Error::Ended(Ending::Superseded(Incarnation(2)))),
        "{error}"
    );
}

#[tokio::test]
async fn a_silent_directory_stops_writes_until_it_answers() {
    let cluster = Cluster::new().await;
    cluster.script.ttl_ms.store(600, Ordering::SeqCst);
    let shard = cluster.start("shard-1").await;
    let a = account(1);
    create(&cluster, &shard, a).await;
    cluster.script.silent.store(true, Ordering::SeqCst);
    let mut message = 0;
    loop {
        message += 1;
        match deliver(&cluster, &shard, a, 1, message).await.unwrap() {
            Outcome::Retry(_) => break,
            outcome => assert!(matches!(outcome, Outcome::Stored(_)), "{outcome:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cluster.script.silent.store(false, Ordering::SeqCst);
    loop {
        match deliver(&cluster, &shard, a, 1, 200).await.unwrap() {
            Outcome::Retry(_) => {}
            Outcome::Stored(_) | Outcome::Duplicate(_) => break,
            outcome => panic!("{outcome:?}"),
        }
    }
    shard.stop().await;
}

/// As where the directory's store syncs for seconds: what is on its way is not asked for anew.
#[tokio::test]
async fn a_renewal_that_takes_half_of_the_lease_ends_none() {
    const TTL: Duration = Duration::from_secs(12);
    let cluster = Cluster::new().await;
    let ttl_ms = u64::try_from(TTL.as_millis()).unwrap();
    cluster.script.ttl_ms.store(ttl_ms, Ordering::SeqCst);
    cluster.script.slow_ms.store(ttl_ms / 2, Ordering::SeqCst);
    let shard = cluster.start("shard-1").await;
    let began = Instant::now();
    let a = account(1);
    create(&cluster, &shard, a).await;
    let mut message = 0;
    while began.elapsed() < TTL + TTL / 4 {
        message += 1;
        let outcome = deliver(&cluster, &shard, a, 1, message).await.unwrap();
        assert!(matches!(outcome, Outcome::Stored(_)), "{outcome:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    shard.stop().await;
}

/// Said at once, not with the renewal that is due in seconds; and again with each later one.
#[tokio::test]
async fn says_that_it_serves_as_soon_as_it_does() {
    let cluster = Cluster::new().await;
    let shard = cluster.start("shard-1").await;
    until("it says so", || {
        let said: Vec<bool> = cluster.renewals().iter().map(|told| told.serving).collect();
        // The first renewal comes before the directory has said which accounts are here, or after.
        said.last() == Some(&true)
    })
    .await;
    assert!(cluster.renewals().len() <= 2, "{:?}", cluster.renewals());
    shard.stop().await;
}

#[tokio::test]
async fn says_how_much_it_holds_and_who_is_over_quota() {
    let cluster = Cluster::new().await;
    cluster.script.ttl_ms.store(300, Ordering::SeqCst);
    let shard = cluster.start("shard-1").await;
    let a = account(1);
    create(&cluster, &shard, a).await;
    deliver(&cluster, &shard, a, 1, 1).await.unwrap();
    until("the load is told", || {
        let told = |load: &wire::rpc::ShardLoad| {
            (load.accounts, load.messages) == (1, 1) && load.volume_size > 0 && load.bytes > 0
        };
        cluster
            .reports()
            .iter()
            .any(|report| report.load.as_ref().is_some_and(told))
    })
    .await;
    shard.stop().await;
}

#[tokio::test]
async fn an_order_that_is_not_confirmed_is_tried_again_by_itself() {
    let cluster = Cluster::new().await;
    let shard = cluster.start("shard-1").await;
    create(&cluster, &shard, account(1)).await;
    cluster.script.unconfirmed.store(2, Ordering::SeqCst);
    let (a, b) = (account(2), account(3));
    cluster.says(a, "shard-1", 1, AccountState::Creating);
    until("the confirmation fails", || {
        cluster.script.unconfirmed.load(Ordering::SeqCst) == 1
    })
    .await;
    // Others are not held up, and the watch goes on.
    cluster.says(b, "shard-1", 1, AccountState::Creating);
    for id in [a, b] {
        cluster.confirmed(id, 1, What::Created.into()).await;
    }
    assert_eq!(cluster.watches(), [0]);
    shard.stop().await;
}

#[tokio::test]
async fn a_silent_watch_is_lost_and_goes_on_where_it_was() {
    let cluster = Cluster::new().await;
    let mut config = cluster.config("shard-1");
    config.watch_silence = Duration::from_millis(100);
    let shard = cluster.start_with(config).await;
    until("the watch is resumed", || cluster.watches().contains(&1)).await;
    assert_eq!(cluster.watches()[0], 0);
    // What was assigned before stays so.
    let a = account(1);
    create(&cluster, &shard, a).await;
    let watches = cluster.watches().len();
    until("it is resumed once more", || {
        cluster.watches().len() > watches + 1
    })
    .await;
    deliver(&cluster, &shard, a, 1, 1).await.unwrap();
    shard.stop().await;
}

#[tokio::test]
async fn an_orderly_end_gives_the_lease_back() {
    let cluster = Cluster::new().await;
    let shard = cluster.start("shard-1").await;
    create(&cluster, &shard, account(1)).await;
    assert!(cluster.released().is_empty());
    shard.stop().await;
    assert_eq!(cluster.released(), [1]);
}

#[tokio::test]
async fn a_report_that_fails_takes_no_lease_along() {
    let cluster = Cluster::new().await;
    cluster.script.ttl_ms.store(600, Ordering::SeqCst);
    cluster.script.full.store(true, Ordering::SeqCst);
    let shard = cluster.start("shard-1").await;
    let a = account(1);
    create(&cluster, &shard, a).await;
    let renewed = cluster.renewals().len();
    until("it is told again", || cluster.reports().len() >= 2).await;
    until("the lease is renewed meanwhile", || {
        cluster.renewals().len() >= renewed + 3
    })
    .await;
    let stored = deliver(&cluster, &shard, a, 1, 1).await.unwrap();
    assert!(matches!(stored, Outcome::Stored(_)), "{stored:?}");
    shard.stop().await;
}

#[tokio::test]
async fn only_who_may_calls() {
    let cluster = Cluster::new().await;
    let shard = cluster.start("shard-1").await;
    let none = || tokio_stream::iter(Vec::<DeliverPart>::new());
    for tier in [Tier::Proxy, Tier::Directory, Tier::Storage, Tier::Admin] {
        let mut client = cluster.shard(&shard, tier);
        let status = client.deliver(none()).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{tier}");
    }
    for tier in [Tier::Proxy, Tier::Mx, Tier::Storage] {
        let mut client = cluster.shard(&shard, tier);
        let status = client
            .account_usage(AccountUsageRequest::default())
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{tier}");
    }
    shard.stop().await;
}

#[tokio::test]
async fn malformed_deliveries_are_refused_and_others_go_on() {
    let cluster = Cluster::new().await;
    let shard = cluster.start("shard-1").await;
    let a = account(1);
    create(&cluster, &shard, a).await;
    let target = DeliverTarget {
        account: a.to_field(),
        epoch: 1,
        ..DeliverTarget::default()
    };
    let header = |size, targets: &[DeliverTarget]| {
        Part::Header(DeliverHeader {
            size,
            targets: targets.to_vec(),
            ..DeliverHeader::default()
        })
    };
    let one = std::slice::from_ref(&target);
    let short = DeliverTarget {
        account: vec![1, 2].into(),
        ..target.clone()
    };
    let chunk = |size: usize| Part::Chunk(vec![b'x'; size].into());
    let commit = |id: usize| {
        Part::Commit(DeliverCommit {
            delivery_id: vec![7; id].into(),
            received_at_ms: 0,
        })
    };
    for (name, parts) in [
        ("nothing", vec![]),
        ("no header", vec![chunk(1)]),
        ("no target", vec![header(1, &[])]),
        ("a short id", vec![header(1, &[short])]),
        (
            "a target twice",
            vec![header(1, &[target.clone(), target.clone()])],
        ),
        ("too many", vec![header(1, &vec![target.clone(); 1001])]),
        ("too large", vec![header(1 << 40, one)]),
        ("two headers", vec![header(1, one), header(1, one)]),
        ("too long", vec![header(1, one), chunk(2), commit(16)]),
        ("too short", vec![header(3, one), chunk(2), commit(16)]),
        (
            "a large chunk",
            vec![header(1 << 20, one), chunk((256 << 10) + 1)],
        ),
        (
            "a short delivery id",
            vec![header(2, one), chunk(2), commit(15)],
        ),
        ("no commit", vec![header(2, one), chunk(2)]),
    ] {
        let parts: Vec<_> = parts
            .into_iter()
            .map(|part| DeliverPart { part: Some(part) })
            .collect();
        let mut client = cluster.shard(&shard, Tier::Mx);
        let status = client.deliver(tokio_stream::iter(parts)).await.unwrap_err();
        let expected = [Code::InvalidArgument, Code::Aborted];
        assert!(expected.contains(&status.code()), "{name}: {status}");
    }
    let outcome = deliver(&cluster, &shard, a, 1, 1).await.unwrap();
    assert!(
        matches!(&outcome, Outcome::Stored(at) if at.uid == 1),
        "{outcome:?}"
    );
    shard.stop().await;
}
