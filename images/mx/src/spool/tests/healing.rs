//! A log that failed is opened again, and nothing is lost, doubled or made up by that.

use std::collections::BTreeSet;
use std::time::Duration;

use segments::sim::{Fault, Rng, SimDisk};

use super::support::*;
use crate::spool::store::NotReopened;
use crate::spool::{AcceptError, Config, EntryId, Outcome, Spool, Trouble, queue, snapshot};

/// Small segments; nothing grows old while a test waits, and the disk may be filled.
fn patient() -> Config {
    Config {
        min_free_percent: 0,
        lifetime: Duration::from_secs(100 * 365 * 24 * 3600),
        ..config()
    }
}

fn open_with(sim: &SimDisk, time: &Time, config: Config) -> Spool {
    Spool::open(sim.disk(), config, time.clock()).unwrap()
}

/// Octets of all files.
fn used(sim: &SimDisk) -> u64 {
    let files = sim.files();
    let sizes = files.iter().map(|name| sim.contents(name).len() as u64);
    sizes.sum()
}

fn held(spool: &Spool) -> BTreeSet<u64> {
    let entries = spool.list(EntryId(0), 1000, |_| true);
    entries.iter().map(number).collect()
}

async fn healed(time: &Time, spool: &Spool) {
    time.until("it is open again", spool, || !spool.failed())
        .await;
    let mut trouble = spool.trouble();
    let told = trouble.wait_for(Option::is_none);
    tokio::time::timeout(Duration::from_secs(60), told)
        .await
        .expect("it does not say so")
        .unwrap();
}

#[tokio::test]
async fn takes_mail_again_when_there_is_room() {
    for seed in 0..20 {
        let (sim, time) = (SimDisk::new(seed), Time::new());
        let spool = open_with(&sim, &time, patient());
        for number in 0..10 {
            spool.accept(message(number, 2000, &[1])).await.unwrap();
        }
        let before = used(&sim);
        sim.set_capacity(Some(before + Rng::new(seed).below(2000)));
        let refused = spool.accept(message(10, 5000, &[1])).await;
        assert!(
            matches!(&refused, Err(AcceptError::Log(error)) if error.is_full()),
            "{refused:?}"
        );
        assert_eq!(*spool.trouble().borrow(), Some(Trouble::Failed));
        // Not even for what it writes when it opens.
        sim.set_capacity(Some(before));
        let shards = Shards::new(&time, |_, _, _| Outcome::Retry("away".to_owned()));
        let (_shutdown, _running) = start(&spool, &shards);
        time.pass(&spool, 600_000).await;
        assert!(spool.failed(), "there is no room");
        sim.set_capacity(None);
        healed(&time, &spool).await;
        assert_eq!(held(&spool), (0..10).collect());
        spool.accept(message(11, 2000, &[1])).await.unwrap();
        // What was answered with 451 is not there, and does not come back.
        sim.power_cut();
        let spool = open_with(&sim, &time, patient());
        assert_eq!(held(&spool), (0..10).chain([11]).collect());
    }
}

/// Everything at once: mail comes, is delivered, moves, is given up; syncs and writes fail all the
/// while. What was acknowledged is delivered once, or there, and after a power cut too.
#[tokio::test]
async fn nothing_is_lost_doubled_or_made_up() {
    let mut failures = 0;
    for seed in 0..40 {
        let (sim, time) = (SimDisk::new(seed), Time::new());
        let mut rng = Rng::new(seed);
        let spool = open_with(&sim, &time, patient());
        let shards = Shards::new(&time, |job, _, before| {
            match number(&job.entry) % 5 + u64::from(before) {
                0 | 1 => Outcome::Done,
                2 | 3 => Outcome::Retry("away".to_owned()),
                4 => Outcome::Dead("removed".to_owned()),
                _ => Outcome::Done,
            }
        });
        let (shutdown, running) = start(&spool, &shards);
        let mut kept = BTreeSet::new();
        for number in 0..60 {
            let fault = [Fault::Full, Fault::Broken][rng.below(2) as usize];
            match rng.below(12) {
                0 => sim.fail_next_sync(fault),
                1 => sim.fail_next_write(fault),
                _ => {}
            }
            let length = rng.below(4000) as usize;
            if spool.accept(message(number, length, &[1])).await.is_ok() {
                kept.insert(number);
            }
            failures += usize::from(spool.failed());
            if rng.one_in(3) {
                time.pass(&spool, 20_000).await;
            }
        }
        // A message that is taken shows that no fault is left.
        while spool.accept(message(60, 100, &[1])).await.is_err() {
            healed(&time, &spool).await;
        }
        kept.insert(60);
        let spool = stopped(&sim, &time, (spool, shutdown, running)).await;
        let (delivered, most) = shards.totals();
        assert!(most <= 1, "seed {seed}");
        let mut all = held(&spool);
        assert_eq!(all.len() + delivered, kept.len(), "seed {seed}");
        let delivered = shards.delivered.lock();
        all.extend(delivered.keys().map(|(number, _)| *number));
        assert_eq!(all, kept, "seed {seed}");
    }
    assert!(failures > 100, "{failures}");
}

/// Stops what runs, cuts the power, and opens the spool again.
async fn stopped(
    sim: &SimDisk,
    time: &Time,
    (spool, shutdown, running): (Spool, kit::lifecycle::Shutdown, tokio::task::JoinHandle<()>),
) -> Spool {
    shutdown.trigger();
    running.await.unwrap();
    // What was recorded before this is durable with it; and then it is gone again.
    let last = spool.accept(message(9999, 10, &[1])).await.unwrap();
    drop_now(&spool, last).await;
    sim.power_cut();
    open_with(sim, time, patient())
}

/// More is to be told to the log than it takes in one go.
#[tokio::test]
async fn what_was_delivered_meanwhile_is_told_to_the_log() {
    let (sim, time) = (SimDisk::new(7), Time::new());
    let spool = open_with(&sim, &time, patient());
    let accounts: Vec<u64> = (0..1000).map(|n| 2 * n + 1).collect();
    for number in 0..3 {
        spool.accept(message(number, 10, &accounts)).await.unwrap();
    }
    sim.set_capacity(Some(used(&sim)));
    assert!(spool.accept(message(9, 10, &[1])).await.is_err());
    let shards = Shards::new(&time, |job, target, _| {
        match number(&job.entry) == 2 && target.account == account(1) {
            true => Outcome::Retry("away".to_owned()),
            false => Outcome::Done,
        }
    });
    let (shutdown, running) = start(&spool, &shards);
    time.until("delivered", &spool, || spool.counts().pending == 1)
        .await;
    assert!(spool.failed());
    sim.set_capacity(None);
    healed(&time, &spool).await;
    shutdown.trigger();
    running.await.unwrap();
    sim.power_cut();
    let spool = open_with(&sim, &time, patient());
    let entries = spool.list(EntryId(0), 10, |_| true);
    assert_eq!((entries.len(), number(&entries[0])), (1, 2));
    assert_eq!(entries[0].targets.len(), 1);
    assert_eq!(shards.totals(), (2999, 1));
}

#[tokio::test]
async fn fails_again_while_it_opens() {
    let (sim, time) = (SimDisk::new(3), Time::new());
    let spool = open_with(&sim, &time, patient());
    spool.accept(message(1, 2000, &[1])).await.unwrap();
    for faults in 1..4 {
        sim.fail_next_sync(Fault::Full);
        assert!(spool.accept(message(2, 2000, &[1])).await.is_err());
        for _ in 0..faults {
            sim.fail_next_sync(Fault::Broken);
            let again = spool.clone();
            let failed = tokio::task::spawn_blocking(move || again.reopen());
            assert!(failed.await.unwrap().is_err());
            assert!(spool.failed());
        }
        let again = spool.clone();
        let opened = tokio::task::spawn_blocking(move || again.reopen());
        opened.await.unwrap().unwrap();
        assert_eq!(held(&spool), [1].into());
    }
}

#[tokio::test]
async fn a_log_that_lost_mail_stays_closed() {
    let (sim, time) = (SimDisk::new(3), Time::new());
    let spool = open_with(&sim, &time, patient());
    spool.accept(message(1, 2000, &[1])).await.unwrap();
    sim.fail_next_sync(Fault::Full);
    assert!(spool.accept(message(2, 10, &[1])).await.is_err());
    for name in sim.files() {
        sim.lose(&name);
    }
    let again = spool.clone();
    let refused = tokio::task::spawn_blocking(move || again.reopen());
    let refused = refused.await.unwrap();
    let lost = queue::Lost(EntryId(1));
    assert!(
        matches!(&refused, Err(NotReopened::Lost(found)) if *found == lost),
        "{refused:?}"
    );
    assert!(spool.failed());
}

#[tokio::test]
async fn the_last_of_the_volume_is_for_what_becomes_of_the_mail() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let config = Config {
        min_free_percent: 10,
        ..patient()
    };
    let spool = open_with(&sim, &time, config);
    sim.set_capacity(Some(100_000));
    let mut kept = 0;
    let refused = loop {
        match spool.accept(message(kept, 3000, &[1])).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, AcceptError::NoRoom), "{refused:?}");
    assert!((25..31).contains(&kept), "{kept}");
    assert!(!spool.failed() && used(&sim) <= 91_000);
    let full = spool.accept(message(99, 10_000, &[1])).await;
    assert!(matches!(full, Err(AcceptError::NoRoom)));
    // What is delivered is recorded, and its segments go.
    let shards = Shards::new(&time, |_, _, _| Outcome::Done);
    let (_shutdown, _running) = start(&spool, &shards);
    time.until("delivered", &spool, || spool.counts().entries == 0)
        .await;
    time.until("its space is given back", &spool, || used(&sim) < 30_000)
        .await;
    assert!(!spool.failed());
    spool.accept(message(100, 10_000, &[1])).await.unwrap();
}

#[tokio::test]
async fn being_short_of_room_is_told() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let config = Config {
        min_free_percent: 50,
        ..patient()
    };
    let spool = open_with(&sim, &time, config);
    spool.accept(message(1, 3000, &[1])).await.unwrap();
    sim.set_capacity(Some(used(&sim) + 1000));
    let short = spool.accept(message(2, 10, &[1])).await;
    assert!(matches!(short, Err(AcceptError::NoRoom)));
    assert_eq!(*spool.trouble().borrow(), Some(Trouble::Short));
    let shards = Shards::new(&time, |_, _, _| Outcome::Retry("away".to_owned()));
    let (_shutdown, _running) = start(&spool, &shards);
    sim.set_capacity(None);
    time.until("nobody asks, and it is noticed", &spool, || {
        spool.trouble().borrow().is_none()
    })
    .await;
}

/// A snapshot that finds no room leaves nothing behind that takes some.
#[tokio::test]
async fn half_a_snapshot_is_removed() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = open_with(&sim, &time, patient());
    spool.accept(message(1, 3000, &[1])).await.unwrap();
    let entry = spool.show(EntryId(1)).unwrap();
    sim.fail_next_write(Fault::Full);
    let page = |after: EntryId, _| match after.0 {
        0 => vec![entry.clone()],
        _ => Vec::new(),
    };
    let at = entry.body.position;
    let written = snapshot::write(&*sim.disk(), at, EntryId(1), page);
    assert!(written.is_err());
    assert!(!sim.files().iter().any(|name| name.starts_with("queue")));
}
