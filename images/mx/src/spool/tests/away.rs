//! Shards that do not answer at all: probed, not hammered.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use segments::sim::SimDisk;
use wire::ids::Incarnation;

use super::support::*;
use crate::spool::{EntryId, NoAnswer, Outcome, State, Word};

const MINUTE: i64 = 60_000;

/// Shard 0 is away until the time in `back`; shard 1 is always there.
fn absent(time: &Time, back: &Arc<AtomicI64>) -> Arc<Shards> {
    let (clock, back) = (time.clone(), Arc::clone(back));
    Shards::new(time, move |_, target, _| {
        let away = target.shard == shard(0) && clock.now() < back.load(Ordering::Relaxed);
        match away {
            true => Outcome::Away(NoAnswer::Refused, "connection refused".to_owned()),
            false => Outcome::Done,
        }
    })
}

#[tokio::test]
async fn one_probe_at_a_time_and_all_at_once_when_it_is_back() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = open(&sim, &time);
    let back = Arc::new(AtomicI64::new(10 * MINUTE));
    let shards = absent(&time, &back);
    let (_shutdown, _running) = start(&spool, &shards);
    for number in 0..200 {
        spool.accept(message(number, 300, &[0, 1])).await.unwrap();
    }
    time.until("all of shard 1", &spool, || shards.totals().0 == 200)
        .await;
    assert!(time.now() < MINUTE, "one shard holds up the other");
    assert!(spool.is_away(&shard(0)) && !spool.is_away(&shard(1)));
    time.until("the last probe", &spool, || time.now() >= 9 * MINUTE)
        .await;
    // 8 that began before anything was known, ten within two minutes, then one a minute.
    let probes = shards.tries(account(0));
    assert!((8 + 10..8 + 20).contains(&probes), "{probes} tries");
    time.until("all of shard 0", &spool, || spool.counts().entries == 0)
        .await;
    assert!(time.now() <= 11 * MINUTE + 5000, "{} ms", time.now());
    assert_eq!(shards.totals(), (400, 1));
    assert!(shards.most_at_once() <= spool.config().concurrency * 2);
    assert_eq!(spool.away(), 0);
}

#[tokio::test]
async fn mail_that_comes_meanwhile_waits_too() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = open(&sim, &time);
    let back = Arc::new(AtomicI64::new(i64::MAX));
    let shards = absent(&time, &back);
    let (_shutdown, _running) = start(&spool, &shards);
    spool.accept(message(1, 300, &[0])).await.unwrap();
    time.until("away", &spool, || spool.is_away(&shard(0)))
        .await;
    for number in 2..100 {
        spool.accept(message(number, 300, &[0])).await.unwrap();
    }
    let (before, now) = (shards.tries(account(0)), time.now());
    time.pass(&spool, 4 * MINUTE as u64).await;
    let probes = shards.tries(account(0)) - before;
    assert!((8..16).contains(&probes), "{probes} tries");
    assert_eq!(spool.counts().pending, 99);
    assert!(time.now() >= now + 4 * MINUTE);
}

#[tokio::test]
async fn an_administrator_has_it_asked_at_once() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = open(&sim, &time);
    let back = Arc::new(AtomicI64::new(i64::MAX));
    let shards = absent(&time, &back);
    let (_shutdown, _running) = start(&spool, &shards);
    for number in 0..20 {
        spool.accept(message(number, 300, &[0])).await.unwrap();
    }
    time.pass(&spool, 5 * MINUTE as u64).await;
    let (now, wanted) = (time.now(), EntryId(15));
    let before = spool.show(wanted).unwrap().targets[0].attempts;
    assert_eq!(spool.retry_now(&[wanted]).unwrap(), 1);
    time.until("that very entry is tried", &spool, || {
        spool.show(wanted).unwrap().targets[0].attempts == before + 1
    })
    .await;
    assert_eq!(time.now(), now);
    back.store(0, Ordering::Relaxed);
    assert_eq!(spool.retry_all().unwrap(), 20);
    time.until("all delivered", &spool, || spool.counts().entries == 0)
        .await;
    assert_eq!(time.now(), now);
}

#[tokio::test]
async fn five_days_of_absence_are_the_end_of_the_whole_queue() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = open(&sim, &time);
    let shards = absent(&time, &Arc::new(AtomicI64::new(i64::MAX)));
    let (_shutdown, _running) = start(&spool, &shards);
    for number in 0..30 {
        spool.accept(message(number, 300, &[0])).await.unwrap();
    }
    time.until("dead letters", &spool, || spool.counts().dead == 30)
        .await;
    let day = 24 * 60 * MINUTE;
    assert!(
        (5 * day..5 * day + 2 * MINUTE).contains(&time.now()),
        "{}",
        time.now()
    );
    assert_eq!(spool.counts().pending, 0);
    for entry in spool.list(EntryId(0), 100, |_| true) {
        let State::Dead(reason) = &entry.targets[0].state else {
            panic!("{entry:?}");
        };
        assert!(reason.contains("connection refused"), "{reason}");
    }
}

/// A message that no shard ever answers for must not keep the others of its queue waiting.
#[tokio::test]
async fn a_message_that_never_ends_holds_up_no_other_for_long() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = open(&sim, &time);
    let shards = Shards::new(&time, |job, _, _| match number(&job.entry) {
        0 => Outcome::Away(NoAnswer::Late, "the shard is slow".to_owned()),
        _ => Outcome::Done,
    });
    let (_shutdown, _running) = start(&spool, &shards);
    spool.accept(message(0, 300, &[0])).await.unwrap();
    time.pass(&spool, 10 * MINUTE as u64).await;
    for number in 1..30 {
        let now = time.now();
        spool.accept(message(number, 300, &[0])).await.unwrap();
        time.until("delivered", &spool, || spool.counts().entries == 1)
            .await;
        assert!(time.now() <= now + 2 * MINUTE, "{}", time.now() - now);
    }
}

/// What the directory tells needs no probe: one is a minute away.
#[tokio::test]
async fn the_directorys_word_brings_all_of_a_queue_at_once() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = open(&sim, &time);
    let back = Arc::new(AtomicI64::new(i64::MAX));
    let shards = absent(&time, &back);
    let (_shutdown, _running) = start(&spool, &shards);
    spool.heard(&shard(0), word(1, true), || {});
    for number in 0..100 {
        spool.accept(message(number, 300, &[0])).await.unwrap();
    }
    time.pass(&spool, 10 * MINUTE as u64).await;
    let (now, tries) = (time.now(), shards.tries(account(0)));
    back.store(0, Ordering::Relaxed);
    // It still says so, or that the next incarnation does not serve yet: neither is news.
    spool.heard(&shard(0), word(1, true), || panic!("nothing to forget"));
    spool.heard(&shard(0), word(2, false), || panic!("nothing to forget"));
    time.until("the runner looked", &spool, || spool.is_away(&shard(0)))
        .await;
    assert_eq!(
        (spool.counts().entries, shards.tries(account(0))),
        (100, tries)
    );
    let mut forgotten = false;
    spool.heard(&shard(0), word(2, true), || forgotten = true);
    assert!(forgotten && !spool.is_away(&shard(0)));
    time.until("all delivered", &spool, || spool.counts().entries == 0)
        .await;
    assert_eq!(time.now(), now);
}

/// A shard that refused for a reason of its own, and starts anew because that is over.
#[tokio::test]
async fn what_waits_for_its_own_turn_comes_too_when_a_shard_starts_anew() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = open(&sim, &time);
    let full = Arc::new(AtomicI64::new(1));
    let is_full = Arc::clone(&full);
    let shards = Shards::new(&time, move |_, _, _| {
        match is_full.load(Ordering::Relaxed) {
            0 => Outcome::Done,
            _ => Outcome::Retry("the volume is full".to_owned()),
        }
    });
    let (_shutdown, _running) = start(&spool, &shards);
    for number in 0..20 {
        spool.accept(message(number, 300, &[0])).await.unwrap();
    }
    time.pass(&spool, 60 * MINUTE as u64).await;
    let now = time.now();
    full.store(0, Ordering::Relaxed);
    spool.heard(&shard(0), word(2, true), || {});
    time.until("all delivered", &spool, || spool.counts().entries == 0)
        .await;
    assert_eq!(time.now(), now);
}

/// Nothing but its shard's absence kept it, so it does not wait for a turn of its own.
#[tokio::test]
async fn what_was_never_tried_is_due_as_soon_as_its_shard_is_there() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = open(&sim, &time);
    let shards = absent(&time, &Arc::new(AtomicI64::new(0)));
    let (_shutdown, _running) = start(&spool, &shards);
    let mut message = message(1, 300, &[0]);
    message.targets[0].at_once = true;
    spool.accept(message).await.unwrap();
    time.until("delivered", &spool, || spool.counts().entries == 0)
        .await;
    assert_eq!(time.now(), 0);
}

fn word(incarnation: u64, serving: bool) -> Word {
    Word {
        incarnation: Incarnation(incarnation),
        serving,
        endpoint: "127.0.0.1:1".to_owned(),
    }
}
