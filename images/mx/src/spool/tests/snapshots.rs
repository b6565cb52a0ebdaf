//! Opening reads a snapshot and what came after it; without one, or with a bad one, everything.

use segments::sim::SimDisk;

use super::support::*;
use crate::spool::{EntryId, Outcome, Spool, State};

const NAME: &str = "queue";

/// A spool of some segments, with a snapshot of nearly all of it.
async fn filled(sim: &SimDisk, time: &Time) -> Vec<u64> {
    let spool = open(sim, time);
    let shards = Shards::new(time, |_, _, _| Outcome::Retry("away".to_owned()));
    let (shutdown, running) = start(&spool, &shards);
    for number in 0..60 {
        spool.accept(message(number, 2000, &[1])).await.unwrap();
    }
    // What came first is gone again, and known only from the snapshot to be so.
    for id in 1..=5 {
        drop_now(&spool, EntryId(id)).await;
    }
    for number in 60..90 {
        spool.accept(message(number, 2000, &[1])).await.unwrap();
    }
    time.until("a snapshot", &spool, || !sim.contents(NAME).is_empty())
        .await;
    shutdown.trigger();
    running.await.unwrap();
    while spool.snapshot_if_grown().unwrap() {}
    assert!(spool.log().segments().len() > 5);
    (5..90).collect()
}

/// What happens to a file on a bad disk, or by another release.
type Change = fn(&mut Vec<u8>);

fn held(spool: &Spool) -> Vec<u64> {
    let entries = spool.list(EntryId(0), 1000, |_| true);
    entries.iter().map(number).collect()
}

/// A bit in the first segment, in the body of a message that is still there.
fn damage_first_segment(sim: &SimDisk) {
    let first = sim
        .files()
        .into_iter()
        .find(|name| name.ends_with(".segment"));
    let first = first.unwrap();
    let late = sim.contents(&first).len() as u64 * 8 * 3 / 4;
    sim.flip_bit(&first, late);
}

#[tokio::test]
async fn what_came_before_is_not_read() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let expected = filled(&sim, &time).await;
    sim.power_cut();
    damage_first_segment(&sim);
    let spool = open(&sim, &time);
    assert_eq!(held(&spool), expected);
    // The damaged message is noticed when its turn comes; the others are delivered.
    let shards = Shards::new(&time, |_, _, _| Outcome::Done);
    let (_shutdown, _running) = start(&spool, &shards);
    time.until("the rest", &spool, || spool.counts().entries == 1)
        .await;
    assert_eq!((shards.totals().0, spool.counts().dead), (84, 1));
    let dead = spool.list(EntryId(0), 10, |_| true).remove(0);
    assert!(matches!(&dead.targets[0].state, State::Dead(why) if why.contains("checksum")));
    // Numbers go on where they were.
    let next = spool.accept(message(100, 10, &[1])).await.unwrap();
    assert_eq!(next, EntryId(91));
}

#[tokio::test]
async fn a_snapshot_that_is_of_no_use_is_put_aside() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let expected = filled(&sim, &time).await;
    let whole = sim.contents(NAME);
    let changes: [Change; 5] = [
        |octets| octets.clear(),
        |octets| octets.truncate(octets.len() / 2),
        |octets| octets[100] ^= 1,
        |octets| octets[8] = 2,
        |octets| octets.insert(50, 0),
    ];
    for change in changes {
        sim.tamper(NAME, |octets| {
            *octets = whole.clone();
            change(octets);
        });
        assert_eq!(held(&open(&sim, &time)), expected);
    }
    sim.lose(NAME);
    assert_eq!(held(&open(&sim, &time)), expected);
    // Then the log's rules hold for all of it.
    damage_first_segment(&sim);
    let refused = Spool::open(sim.disk(), config(), time.clock()).err();
    assert!(
        matches!(refused, Some(segments::OpenError::Corrupt { .. })),
        "{refused:?}"
    );
}

/// An old snapshot over a log that went on; and over one that even lost the segment it begins in.
#[tokio::test]
async fn an_old_snapshot_does_no_harm() {
    for reclaimed in [false, true] {
        let (sim, time) = (SimDisk::new(1), Time::new());
        filled(&sim, &time).await;
        let old = sim.contents(NAME);
        let spool = open(&sim, &time);
        // One message in ten stays.
        let shards = Shards::new(&time, |job, _, _| match number(&job.entry) % 10 {
            0 => Outcome::Retry("away".to_owned()),
            _ => Outcome::Done,
        });
        let (shutdown, running) = start(&spool, &shards);
        let last_of_old = spool.log().segments().last().unwrap().id;
        let mut next = 90;
        loop {
            for number in next..next + 40 {
                spool.accept(message(number, 2000, &[1])).await.unwrap();
            }
            next += 40;
            time.pass(&spool, 300_000).await;
            if !reclaimed || spool.log().segments()[0].id > last_of_old {
                break;
            }
        }
        shutdown.trigger();
        running.await.unwrap();
        // What was recorded before this is durable with it.
        spool.accept(message(9990, 100, &[1])).await.unwrap();
        let expected: Vec<u64> = (1..next / 10).map(|n| n * 10).chain([9990]).collect();
        assert_eq!(held(&spool), expected);
        sim.tamper(NAME, |octets| octets.clone_from(&old));
        sim.power_cut();
        assert_eq!(held(&open(&sim, &time)), expected, "reclaimed: {reclaimed}");
    }
}
