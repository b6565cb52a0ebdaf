//! Damage in a shard's heap: reported with its place, or cut where it was never acknowledged; what
//! is served is what was delivered.

use buzonera_storage::maildrop::ReadError;
use buzonera_storage::volume::VolumeError;
use segments::OpenError;
use segments::sim::Rng;
use wire::ids::AccountId;

use crate::rig::{Rig, account, as_read, delivery, open, read_all, read_one, stored};

const MESSAGES: u64 = 60;

fn body(id: u64) -> Vec<u8> {
    vec![b'a' + (id % 26) as u8; 4000 + id as usize]
}

/// A closed shard with a heap of several segments.
async fn written(seed: u64) -> (Rig, AccountId) {
    let mut rig = Rig::new(seed);
    let a = account(1);
    rig.create(a).await;
    for id in 1..=MESSAGES {
        let outcomes = rig.shard().deliver(&delivery(id, &body(id), &[a])).await;
        assert_eq!(outcomes, [stored(id as u32)]);
    }
    rig.close();
    (rig, a)
}

fn segments(rig: &Rig) -> Vec<String> {
    let files = rig.sim.files().into_iter();
    files.filter(|name| name.ends_with(".segment")).collect()
}

fn forget_index(rig: &Rig) {
    std::fs::remove_dir_all(rig.index()).unwrap();
}

/// The shard refuses to start, says where, and changes nothing.
fn refused(rig: &Rig) -> (String, u64) {
    let contents = || -> Vec<_> {
        let files = rig.sim.files().into_iter();
        files.map(|name| rig.sim.contents(&name)).collect()
    };
    let before = contents();
    let error = rig.try_open().err().expect("damage was not seen");
    assert!(contents() == before, "a damaged heap was changed");
    let text = error.to_string();
    match error {
        VolumeError::Heap(OpenError::Corrupt { file, offset, .. }) => {
            assert!(text.contains(&file), "{text}");
            assert!(text.contains(&format!("offset {offset}")), "{text}");
            (file, offset)
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_flipped_bit_in_the_middle_is_said_with_its_place() {
    let (rig, _) = written(1).await;
    forget_index(&rig);
    let names = segments(&rig);
    assert!(names.len() > 2, "{names:?}");
    let middle = rig.sim.contents(&names[1]).len() as u64 / 2;
    rig.sim.flip_bit(&names[1], middle * 8 + 3);
    let (file, offset) = refused(&rig);
    assert_eq!(file, names[1]);
    assert!(
        offset <= middle && middle - offset < 5000,
        "{offset} {middle}"
    );
}

/// A start reads the heap from where the index has come to, so this is its last segment.
#[tokio::test]
async fn a_flipped_bit_in_the_last_segment_is_seen_at_every_start() {
    let (rig, _) = written(2).await;
    let last = segments(&rig).pop().unwrap();
    let middle = rig.sim.contents(&last).len() as u64 / 2;
    rig.sim.flip_bit(&last, middle * 8);
    assert_eq!(refused(&rig).0, last);
}

#[tokio::test]
async fn a_damaged_body_is_not_served_and_the_others_are() {
    let (mut rig, a) = written(3).await;
    let first = &segments(&rig)[0];
    let body = body(1);
    let octets = rig.sim.contents(first);
    let at = octets.windows(body.len()).position(|part| part == body);
    rig.sim.flip_bit(first, (at.unwrap() as u64 + 1000) * 8);
    rig.open();
    let maildrop = open(rig.shard(), a, 1).await.unwrap();
    let damaged = read_one(&maildrop, 0).await;
    assert!(matches!(damaged, Err(ReadError::Damaged)), "{damaged:?}");
    for at in 1..MESSAGES as usize {
        let expected = as_read(a, &self::body(at as u64 + 1));
        assert!(read_one(&maildrop, at).await.unwrap() == expected, "{at}");
    }
}

#[tokio::test]
async fn a_torn_tail_is_cut() {
    for seed in 10..40 {
        let mut rig = Rig::new(seed);
        let a = account(1);
        rig.create(a).await;
        let first = rig.shard().deliver(&delivery(1, b"one", &[a])).await;
        assert_eq!(first, [stored(1)]);
        let end = rig.shard().log().end();
        rig.sim.hold_syncs();
        let shard = rig.shard().clone();
        let body = vec![b'x'; 20_000];
        let second = tokio::spawn(async move { shard.deliver(&delivery(2, &body, &[a])).await });
        let sim = rig.sim.clone();
        tokio::task::spawn_blocking(move || sim.wait_for_held_sync())
            .await
            .unwrap();
        rig.power_cut();
        assert_ne!(second.await.unwrap(), [stored(2)]);
        // Of what was under way any part is left, and it may be damaged too.
        let last = segments(&rig).pop().unwrap();
        rig.sim.tamper(&last, |octets| {
            let torn = end.offset as usize + 100;
            match octets.get_mut(torn) {
                Some(octet) => *octet ^= 4,
                None => octets.resize(torn + 1, 7),
            }
        });
        rig.open();
        assert_eq!(read_all(rig.shard(), a).await, [(1, as_read(a, b"one"))]);
        let again = rig.shard().deliver(&delivery(2, b"two", &[a])).await;
        assert_eq!(again, [stored(2)], "seed {seed}");
    }
}

/// Any bits anywhere, with and without an index: said, or not served.
#[tokio::test]
async fn random_bits_are_never_served() {
    let mut started = 0;
    for seed in 100..140 {
        let mut rng = Rng::new(seed);
        let (rig, a) = written(seed).await;
        if rng.one_in(4) {
            forget_index(&rig);
        }
        let files = rig.sim.files();
        for _ in 0..=rng.below(2) {
            let file = &files[rng.below(files.len() as u64) as usize];
            let bits = rig.sim.contents(file).len() as u64 * 8;
            rig.sim.flip_bit(file, rng.below(bits));
        }
        let (shard, _) = match rig.try_open() {
            Ok(opened) => opened,
            Err(VolumeError::Heap(OpenError::Corrupt { .. })) => continue,
            Err(other) => panic!("seed {seed}: {other}"),
        };
        started += 1;
        let maildrop = open(&shard, a, 1).await.unwrap();
        assert_eq!(maildrop.messages().len() as u64, MESSAGES, "seed {seed}");
        for at in 0..MESSAGES as usize {
            if let Ok(octets) = read_one(&maildrop, at).await {
                assert!(octets == as_read(a, &body(at as u64 + 1)), "seed {seed}");
            }
        }
        drop(maildrop);
        shard.close();
    }
    assert!(started > 5, "{started} started");
}
