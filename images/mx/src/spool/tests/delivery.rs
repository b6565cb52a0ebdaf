//! The runner, with time that tests move.

use segments::sim::SimDisk;
use wire::ids::Epoch;

use super::support::*;
use crate::spool::{AcceptError, Config, EntryId, Outcome, Spool, State};

#[tokio::test]
async fn delivers_to_each_target_once() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = open(&sim, &time);
    let shards = Shards::new(&time, |_, _, _| Outcome::Done);
    let (_shutdown, _running) = start(&spool, &shards);
    for number in 0..20 {
        spool
            .accept(message(number, 300, &[1, 2, 3]))
            .await
            .unwrap();
    }
    time.until("all delivered", &spool, || spool.counts().entries == 0)
        .await;
    assert_eq!(shards.totals(), (60, 1));
    assert_eq!(shards.seconds(0), [5, 5, 5]);
}

#[tokio::test]
async fn waits_double() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = open(&sim, &time);
    let shards = Shards::new(&time, |_, _, before| match before {
        4 => Outcome::Done,
        _ => Outcome::Retry("away".to_owned()),
    });
    let (_shutdown, _running) = start(&spool, &shards);
    spool.accept(message(7, 300, &[1])).await.unwrap();
    time.until("delivered", &spool, || spool.counts().entries == 0)
        .await;
    assert_eq!(shards.seconds(7), [5, 15, 35, 75, 155]);
}

#[tokio::test]
async fn a_slow_shard_holds_up_no_other() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = open(&sim, &time);
    let shards = Shards::new(&time, |_, target, _| match target.shard == shard(0) {
        true => Outcome::Retry("away".to_owned()),
        false => Outcome::Done,
    });
    let (_shutdown, _running) = start(&spool, &shards);
    for number in 0..50 {
        spool
            .accept(message(number, 300, &[number, number + 1]))
            .await
            .unwrap();
    }
    time.until("all of shard 1", &spool, || shards.totals().0 == 50)
        .await;
    assert_eq!(spool.counts().pending, 50);
    assert!(shards.seconds(49)[0] <= 6);
}

#[tokio::test]
async fn follows_an_account_at_once() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = open(&sim, &time);
    let shards = Shards::new(&time, |_, target, _| match target.epoch {
        Epoch(1) => Outcome::Moved {
            shard: shard(5),
            epoch: Epoch(2),
        },
        _ if target.shard == shard(5) => Outcome::Done,
        _ => Outcome::Dead("asked elsewhere".to_owned()),
    });
    let (_shutdown, _running) = start(&spool, &shards);
    spool.accept(message(1, 300, &[1])).await.unwrap();
    time.until("delivered", &spool, || spool.counts().entries == 0)
        .await;
    assert_eq!(shards.seconds(1), [5, 5]);
}

#[tokio::test]
async fn five_days_then_a_dead_letter() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = open(&sim, &time);
    let shards = Shards::new(&time, |_, target, _| match target.account == account(3) {
        true => Outcome::Dead("removed".to_owned()),
        false => Outcome::Retry("away".to_owned()),
    });
    let (shutdown, running) = start(&spool, &shards);
    spool.accept(message(1, 300, &[1, 3])).await.unwrap();
    time.until("both dead", &spool, || spool.counts().dead == 2)
        .await;
    let last = shards.seconds(1).into_iter().max().unwrap();
    assert!((432_000..433_000).contains(&last), "{last} s");
    shutdown.trigger();
    running.await.unwrap();
    drop(spool);

    let spool = open(&sim, &time);
    let entry = spool.show(EntryId(1)).unwrap();
    let reasons: Vec<_> = entry
        .targets
        .iter()
        .map(|t| format!("{:?}", t.state))
        .collect();
    assert!(reasons[0].contains("given up after"), "{reasons:?}");
    assert!(reasons[1].contains("removed"), "{reasons:?}");
    assert_eq!(spool.counts().dead, 2);

    // Asked for by an administrator, they are tried again.
    assert_eq!(spool.retry_all().unwrap(), 0);
    assert_eq!(spool.retry_now(&[EntryId(1), EntryId(9)]).unwrap(), 2);
    let shards = Shards::new(&time, |_, _, _| Outcome::Done);
    let (_shutdown, _running) = start(&spool, &shards);
    time.until("delivered", &spool, || spool.counts().entries == 0)
        .await;
}

#[tokio::test]
async fn a_delivery_that_panics_or_hangs_is_tried_again() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = open(&sim, &time);
    let shards = Shards::new(&time, |_, _, before| match before {
        0 => panic!("a fault that this test wants"),
        _ => Outcome::Done,
    });
    let (_shutdown, _running) = start(&spool, &shards);
    spool.accept(message(1, 300, &[1])).await.unwrap();
    time.until("delivered", &spool, || spool.counts().entries == 0)
        .await;
    assert_eq!(shards.seconds(1), [5, 15]);
}

#[tokio::test]
async fn a_damaged_message_is_never_delivered() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = open(&sim, &time);
    spool.accept(message(1, 3000, &[1])).await.unwrap();
    let file = sim
        .files()
        .into_iter()
        .find(|name| name.contains("segment"));
    let file = file.unwrap();
    let bit = sim.contents(&file).len() as u64 * 8 - 8 * 500;
    sim.flip_bit(&file, bit);
    let shards = Shards::new(&time, |_, _, _| Outcome::Done);
    let (_shutdown, _running) = start(&spool, &shards);
    time.until("dead", &spool, || spool.counts().dead == 1)
        .await;
    assert_eq!(shards.totals(), (0, 0));
}

#[tokio::test]
async fn space_comes_back() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = open(&sim, &time);
    // One message in ten stays.
    let shards = Shards::new(&time, |job, _, _| match number(&job.entry) % 10 {
        0 => Outcome::Retry("away".to_owned()),
        _ => Outcome::Done,
    });
    let (shutdown, running) = start(&spool, &shards);
    for number in 0..100 {
        spool.accept(message(number, 2000, &[1])).await.unwrap();
    }
    let full = spool.disk_bytes();
    assert!(full > 200_000);
    time.until("reclaimed", &spool, || spool.disk_bytes() < 80_000)
        .await;
    assert_eq!(spool.counts().entries, 10);
    shutdown.trigger();
    running.await.unwrap();
    sim.power_cut();
    let spool = open(&sim, &time);
    let kept: Vec<_> = spool
        .list(EntryId(0), 100, |_| true)
        .iter()
        .map(number)
        .collect();
    assert_eq!(kept, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
    let entry = spool.show(EntryId(1)).unwrap();
    assert!(matches!(entry.targets[0].state, State::Due(_)));
    assert!(entry.targets[0].attempts > 1);
    let (_shutdown, _running) = start(&spool, &shards);
    let shards = Shards::new(&time, |_, _, _| Outcome::Done);
    let (_shutdown, _running) = start(&spool, &shards);
    time.until("delivered", &spool, || spool.counts().entries == 0)
        .await;
}

#[tokio::test]
async fn a_full_spool_makes_room_at_once() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let config = Config {
        max_bytes: 29_000,
        ..config()
    };
    let spool = Spool::open(sim.disk(), config, time.clock()).unwrap();
    let shards = Shards::new(&time, |_, _, _| Outcome::Done);
    let (_shutdown, _running) = start(&spool, &shards);
    for number in 0..13 {
        spool.accept(message(number, 2000, &[1])).await.unwrap();
    }
    let full = spool.accept(message(14, 2000, &[1])).await;
    assert!(matches!(full, Err(AcceptError::Full)));
    time.until("all delivered", &spool, || spool.counts().entries == 0)
        .await;
    // Refused once more, and that makes the room.
    let again = spool.accept(message(15, 20_000, &[1])).await;
    assert!(matches!(again, Err(AcceptError::Full)));
    let now = time.now();
    while spool.disk_bytes() > 1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(time.now(), now);
    spool.accept(message(15, 20_000, &[1])).await.unwrap();
}
