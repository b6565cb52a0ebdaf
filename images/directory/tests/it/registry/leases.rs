//! Leases: who gets one, who waits, and what a renewal tells.

use std::time::Duration;

use buzonera_directory::model::Key;
use buzonera_directory::model::records::ShardRecord;
use kit::services::registry_server::Registry as _;
use tonic::Code;
use wire::rpc::acquire_lease_reply::Result as Lease;
use wire::rpc::renew_lease_reply::Result as Renewed;
use wire::rpc::{ReleaseLeaseRequest, ShardState};

use super::{World, from, renewal};
use crate::etcd::shared;
use crate::store_suite::{share, value};

#[tokio::test]
async fn a_crashed_shard_is_back_without_waiting_for_its_lease() {
    let world = World::embedded().await;
    assert_eq!(world.granted("shard-1", 0, "boot-a").await, 1);
    assert_eq!(world.granted("shard-1", 1, "boot-a").await, 2);
    assert_eq!(world.renew(renewal(1)).await, Renewed::SupersededBy(2));
    assert!(matches!(world.renew(renewal(2)).await, Renewed::Renewed(_)));
    let record: ShardRecord = world
        .read(Key::Shard("shard-1".parse().unwrap()))
        .await
        .unwrap();
    assert_eq!(
        (record.incarnation, &record.rpc_endpoint[..]),
        (2, "127.0.0.1:1")
    );
    // Another shard's lease is another matter.
    assert_eq!(world.granted("shard-2", 0, "boot-b").await, 1);
}

async fn another_machine_waits(world: World) {
    assert_eq!(world.granted("shard-1", 0, "boot-a").await, 1);
    let mut waited = 0;
    let incarnation = loop {
        match world.acquire("shard-1", 0, "boot-b").await {
            Lease::Granted(granted) => break granted.incarnation,
            Lease::Held(held) => {
                assert_eq!((held.incarnation, &held.boot_id[..]), (1, "boot-a"));
                waited += 1;
                tokio::time::sleep(Duration::from_millis(held.retry_after_ms)).await;
            }
            other @ (Lease::Refused(_) | Lease::BadVolume(_) | Lease::GoOn(_)) => {
                panic!("{other:?}")
            }
        }
    };
    assert!(waited > 0);
    assert_eq!(incarnation, 2);
    assert_eq!(world.renew(renewal(1)).await, Renewed::SupersededBy(2));
}

#[tokio::test]
async fn another_machine_waits_for_the_lease() {
    another_machine_waits(World::embedded().await).await;
}

#[tokio::test]
async fn another_machine_waits_for_the_lease_on_etcd() {
    let store = share(shared().store("/buzonera/registry/").await);
    another_machine_waits(World::over(store, None).await).await;
}

#[tokio::test]
async fn a_lease_that_ran_out_is_granted_again_when_nobody_took_over() {
    let world = World::embedded().await;
    assert_eq!(world.granted("shard-1", 0, "boot-a").await, 1);
    let lease = Key::Lease("shard-1".parse().unwrap()).to_string();
    while value(&world.store, &lease).await.is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let Renewed::Renewed(granted) = world.renew(renewal(1)).await else {
        panic!("superseded");
    };
    assert_eq!((granted.incarnation, granted.ttl_ms), (1, 1000));
    assert!(value(&world.store, &lease).await.is_some());
    assert!(matches!(
        world.acquire("shard-1", 1, "boot-b").await,
        Lease::Held(_)
    ));
}

#[tokio::test]
async fn what_never_gets_a_lease_is_told_why() {
    let world = World::embedded().await;
    world.set_state("shard-2", ShardState::Retired).await;
    for (shard, why) in [("shard-2", "retired"), ("shard-9", "AddShard")] {
        match world.acquire(shard, 0, "boot-a").await {
            Lease::Refused(reason) => assert!(reason.contains(why), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    // An incarnation that the directory never gave out: its store is older than the shard.
    let unknown = world
        .registry
        .renew_lease(from("shard-1", renewal(3)))
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn a_lease_that_is_given_back_is_another_machines_at_once() {
    let world = World::embedded().await;
    let first = world.granted("shard-1", 0, "boot-a").await;
    let release = |incarnation| from("shard-1", ReleaseLeaseRequest { incarnation });
    // Only the incarnation that holds it gives it back.
    world
        .registry
        .release_lease(release(first + 1))
        .await
        .unwrap();
    assert!(matches!(
        world.acquire("shard-1", 1, "boot-b").await,
        Lease::Held(_)
    ));
    for _twice in 0..2 {
        world.registry.release_lease(release(first)).await.unwrap();
    }
    assert_eq!(world.granted("shard-1", 1, "boot-b").await, first + 1);
}
