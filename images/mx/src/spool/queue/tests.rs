use bytes::Bytes;
use segments::Position;
use segments::sim::Rng;
use wire::ids::{AccountId, DeliveryId, Epoch};

use super::*;

pub(super) fn shard(number: u64) -> ShardName {
    format!("shard-{number}").parse().unwrap()
}

fn entry(id: u64, segment: u64, targets: &[(u64, i64)]) -> Entry {
    let target = |(index, (on, due)): (usize, &(u64, i64))| Target {
        index: index as u32,
        account: AccountId::from_bytes([index as u8; 16]),
        epoch: Epoch(1),
        shard: shard(*on),
        prefix: Bytes::new(),
        recipient: format!("user{index}@example.org"),
        attempts: 1,
        last_error: String::new(),
        state: State::Due(*due),
    };
    Entry {
        id: EntryId(id),
        transaction_id: "t".to_owned(),
        delivery_id: DeliveryId::from_bytes([id as u8; 16]),
        reverse_path: String::new(),
        received_at_ms: 0,
        body: BodyAt {
            position: Position {
                segment,
                offset: 64,
            },
            start: 10,
            length: 90,
        },
        targets: targets.iter().enumerate().map(target).collect(),
    }
}

fn retry(entry: u64, target: u32, on: u64, at: i64) -> Event {
    Event::Retry(Retry {
        entry: EntryId(entry),
        target,
        attempts: 2,
        last_error: "away".to_owned(),
        next_attempt_ms: at,
        shard: shard(on),
        epoch: Epoch(2),
    })
}

/// The invariants of the module's comment, by counting.
fn check(queue: &Queue) {
    let mut counts = Counts::default();
    for entry in queue.entries.values() {
        assert!(!entry.targets.is_empty(), "{} is done", entry.id);
        assert!(entry.id.0 <= queue.last_id);
        let segment = entry.body.position.segment;
        assert!(queue.in_segment(segment).contains(&entry.id));
        counts.entries += 1;
        counts.bytes += entry.bytes();
        for target in &entry.targets {
            match target.state {
                State::Dead(_) => counts.dead += 1,
                State::InFlight => counts.pending += 1,
                State::Due(_) => {
                    counts.pending += 1;
                    *counts.waiting.entry(target.shard.clone()).or_default() += 1;
                }
            }
        }
    }
    assert_eq!(queue.counts(), counts);
    let targets = queue.entries.values().flat_map(|entry| &entry.targets);
    for shard in [0, 1, 2].map(shard) {
        let pending = |t: &Target| t.shard == shard && !matches!(t.state, State::Dead(_));
        assert_eq!(queue.is_pending(&shard), targets.clone().any(pending));
    }
    for shard in queue.shards() {
        let of_shard = |entry: &Entry| -> Vec<i64> {
            let due = entry.targets.iter().filter(|t| t.shard == shard);
            due.filter_map(|target| match target.state {
                State::Due(at) => Some(at),
                _ => None,
            })
            .collect()
        };
        let first = queue.entries.values().flat_map(of_shard).min();
        assert_eq!(queue.next_due(&shard), first);
    }
}

#[test]
fn gives_out_what_is_due_longest_first() {
    let mut queue = Queue::default();
    queue.apply(Event::Accepted(entry(
        1,
        1,
        &[(0, 50), (1, 10), (0, 40), (0, 99)],
    )));
    queue.apply(Event::Accepted(entry(2, 1, &[(0, 30)])));
    check(&queue);
    assert_eq!(queue.take_due(29, &shard(0)), None);
    let (first, targets) = queue.take_due(60, &shard(0)).unwrap();
    assert_eq!((first.id, targets), (EntryId(2), vec![0]));
    let (second, targets) = queue.take_due(60, &shard(0)).unwrap();
    assert_eq!((second.id, targets), (EntryId(1), vec![0, 2]));
    assert_eq!(queue.take_due(60, &shard(0)), None);
    assert_eq!(queue.next_due(&shard(0)), Some(99));
    check(&queue);
}

#[test]
fn an_entry_leaves_with_its_last_target() {
    let mut queue = Queue::default();
    queue.apply(Event::Accepted(entry(1, 1, &[(0, 0), (1, 0)])));
    queue.apply(Event::Done(EntryId(1), 0));
    queue.apply(Event::Dead(EntryId(1), 1, "removed".to_owned()));
    check(&queue);
    assert!(queue.get(EntryId(1)).unwrap().is_dead());
    assert_eq!(queue.counts().dead, 1);
    queue.apply(retry(1, 1, 0, 5));
    assert_eq!(queue.counts().waiting[&shard(0)], 1);
    queue.apply(Event::Done(EntryId(1), 1));
    assert!(queue.is_empty());
    check(&queue);
    assert_eq!(queue.new_id(), EntryId(2), "numbers do not return");
}

#[test]
fn random_events_keep_the_invariants() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let mut queue = Queue::default();
        for _ in 0..60 {
            let (id, target) = (1 + rng.below(6), rng.below(3) as u32);
            match rng.below(8) {
                0 | 1 => {
                    let due = [0, 1, 2].map(|i| (rng.below(3), i + rng.below(50) as i64));
                    queue.apply(Event::Accepted(entry(id, rng.below(3), &due)));
                }
                2 => queue.apply(Event::Done(EntryId(id), target)),
                3 => queue.apply(retry(id, target, rng.below(3), rng.below(90) as i64)),
                4 => queue.apply(Event::Dead(EntryId(id), target, "no".to_owned())),
                5 => queue.apply(Event::Removed(EntryId(id))),
                6 => {
                    let body = entry(id, 7, &[]).body;
                    queue.moved(EntryId(id), body);
                }
                _ => drop(queue.take_due(rng.below(90) as i64, &shard(rng.below(3)))),
            }
            check(&queue);
        }
    }
}

/// Any queue, and what a log has of it that missed the last events and has one message too many.
#[test]
fn the_difference_is_what_a_log_missed() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let (mut now, mut recorded) = (Queue::default(), Queue::default());
        let mut missed = false;
        for step in 0..60 {
            let (id, target) = (1 + rng.below(6), rng.below(3) as u32);
            missed |= step > 30 && rng.one_in(8);
            let event = match rng.below(7) {
                0 | 1 if !missed => {
                    let due = [0, 1, 2].map(|i| (rng.below(3), i + rng.below(50) as i64));
                    Event::Accepted(entry(10 * step + id, rng.below(3), &due))
                }
                0..3 => Event::Done(EntryId(10 * rng.below(60) + id), target),
                3 => retry(10 * rng.below(60) + id, target, rng.below(3), 5),
                4 => Event::Dead(EntryId(10 * rng.below(60) + id), target, "no".to_owned()),
                5 => Event::Removed(EntryId(10 * rng.below(60) + id)),
                _ => {
                    now.take_due(rng.below(90) as i64, &shard(rng.below(3)));
                    continue;
                }
            };
            if !missed {
                recorded.apply(event.clone());
            }
            now.apply(event);
        }
        recorded.apply(Event::Accepted(entry(7777, 1, &[(0, 0)])));
        let events = difference(&now, &recorded).unwrap();
        assert!(events.contains(&Event::Removed(EntryId(7777))));
        for event in events {
            recorded.apply(event);
        }
        let settled = |queue: &Queue| -> Vec<_> {
            let entries = queue.after(EntryId(0));
            let targets = entries.flat_map(|entry| entry.targets.iter().map(|t| (entry.id, t)));
            targets.map(|(id, target)| (id, target.clone())).collect()
        };
        let pairs = settled(&now).into_iter().zip(settled(&recorded));
        for (now, recorded) in pairs.filter(|((_, now), _)| now.state != State::InFlight) {
            assert_eq!(now, recorded, "seed {seed}");
        }
        assert_eq!(settled(&now).len(), settled(&recorded).len());
    }
}

#[test]
fn what_only_memory_has_is_lost() {
    let mut now = Queue::default();
    now.apply(Event::Accepted(entry(3, 1, &[(0, 0)])));
    let lost = difference(&now, &Queue::default());
    assert_eq!(lost, Err(Lost(EntryId(3))));
}
