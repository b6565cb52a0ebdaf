//! Dropping dead letters.

use kit::services::spool_admin_server::SpoolAdmin;
use segments::sim::{Fault, SimDisk};
use tonic::{Code, Request};
use wire::rpc::SpoolRemoveRequest;

use super::admin::admin;
use super::support::*;
use crate::spool::admin::Service;
use crate::spool::{EntryId, NotRemoved, Outcome, Spool};

fn request(entry: u64) -> Request<SpoolRemoveRequest> {
    admin(SpoolRemoveRequest { entry })
}

/// What is for account 3 is dead; the rest waits.
async fn with_dead(sim: &SimDisk, time: &Time, accounts: &[&[u64]]) -> Spool {
    let spool = open(sim, time);
    let shards = Shards::new(time, |_, target, _| match target.account == account(3) {
        true => Outcome::Dead("removed".to_owned()),
        false => Outcome::Retry("away".to_owned()),
    });
    let (shutdown, running) = start(&spool, &shards);
    for (number, accounts) in (1..).zip(accounts) {
        let message = message(number, 3000, accounts);
        spool.accept(message).await.unwrap();
    }
    let dead = accounts.iter().filter(|these| these.contains(&3)).count();
    time.until("dead", &spool, || spool.counts().dead == dead)
        .await;
    shutdown.trigger();
    running.await.unwrap();
    spool
}

#[tokio::test]
async fn only_what_nobody_waits_for_is_removed() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = with_dead(&sim, &time, &[&[3], &[2, 3], &[2]]).await;
    let service = Service::new(spool.clone(), door());
    for entry in [2, 3] {
        let refused = service.remove(request(entry)).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        let told = refused.message();
        assert!(
            told.contains("still tried for 1 of its recipients"),
            "{told}"
        );
        assert!(
            told.contains(&format!("`buzonera spool retry {entry}`")),
            "{told}"
        );
    }
    let removed = service.remove(request(1)).await.unwrap().into_inner();
    assert_eq!((removed.entry, removed.size), (1, 3000));
    assert_eq!(removed.targets[0].dead, "removed");
    let gone = service.remove(request(1)).await.unwrap_err();
    assert_eq!(
        (gone.code(), gone.message()),
        (Code::NotFound, "the spool has no entry 1")
    );
    assert_eq!((spool.counts().entries, spool.counts().dead), (2, 1));
}

#[tokio::test]
async fn it_is_durable_before_the_answer() {
    for seed in 0..20 {
        let (sim, time) = (SimDisk::new(seed), Time::new());
        let spool = with_dead(&sim, &time, &[&[3], &[3]]).await;
        spool.remove(EntryId(1)).await.unwrap();
        sim.power_cut();
        let spool = open(&sim, &time);
        let left: Vec<_> = spool.list(EntryId(0), 9, |_| true);
        assert_eq!(left.iter().map(|entry| entry.id.0).collect::<Vec<_>>(), [2]);
    }
}

#[tokio::test]
async fn a_disk_that_fails_is_told() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = with_dead(&sim, &time, &[&[3], &[3]]).await;
    sim.fail_next_sync(Fault::Broken);
    let service = Service::new(spool.clone(), door());
    let unsure = service.remove(request(1)).await.unwrap_err();
    assert_eq!(unsure.code(), Code::Unavailable);
    // Now that it takes nothing, nothing is changed.
    assert!(matches!(
        spool.remove(EntryId(2)).await,
        Err(NotRemoved::Log(..))
    ));
    assert!(spool.show(EntryId(2)).is_some());
}

/// A damaged message cannot be written forward, so the segments behind its own wait until it goes.
#[tokio::test]
async fn a_damaged_dead_letter_holds_space_until_it_is_removed() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = open(&sim, &time);
    spool.accept(message(0, 3000, &[1])).await.unwrap();
    let first = sim
        .files()
        .into_iter()
        .find(|name| name.ends_with(".segment"));
    sim.flip_bit(&first.unwrap(), 2000 * 8);
    let shards = Shards::new(&time, |_, _, _| Outcome::Done);
    let (_shutdown, _running) = start(&spool, &shards);
    for number in 1..40 {
        spool.accept(message(number, 3000, &[1])).await.unwrap();
    }
    time.until("all others are delivered", &spool, || {
        spool.counts().entries == 1
    })
    .await;
    assert_eq!(spool.counts().dead, 1);
    let stuck = spool.reclaim().await.unwrap_err().to_string();
    assert!(stuck.contains("entry 1 cannot be read"), "{stuck}");
    let segments = spool.log().segments();
    assert!(segments.len() > 5, "{segments:?}");
    spool.remove(EntryId(1)).await.unwrap();
    let segments = || {
        let names = sim.files().into_iter();
        names.filter(|name| name.ends_with(".segment")).count()
    };
    time.until("all space is given back", &spool, || segments() == 1)
        .await;
}
