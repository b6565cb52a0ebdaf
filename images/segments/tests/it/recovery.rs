//! The rules of `FORMAT.md`, one by one.

use segments::OpenError;
use segments::sim::{Rng, SimDisk};

use crate::support::{for_seeds, numbered, numbers, open};

fn segment(id: u64) -> String {
    format!("{id:016x}.segment")
}

/// A closed log with these records, one group each, a new segment before those in `seals`.
fn written(records: &[u64], seals: &[u64]) -> SimDisk {
    let sim = SimDisk::new(1);
    let (log, _) = open(&sim).unwrap();
    for number in records {
        if seals.contains(number) {
            log.seal().unwrap().wait().unwrap();
        }
        log.submit(numbered(*number, 100)).unwrap().wait().unwrap();
    }
    sim
}

/// The same, but with the power cut before the log could mark its end.
fn cut_off(records: &[u64], seals: &[u64]) -> SimDisk {
    let sim = written(&[], &[]);
    let (log, _) = open(&sim).unwrap();
    for number in records {
        if seals.contains(number) {
            log.seal().unwrap().wait().unwrap();
        }
        log.submit(numbered(*number, 100)).unwrap().wait().unwrap();
    }
    sim.power_cut();
    drop(log);
    sim
}

fn served(sim: &SimDisk) -> Vec<u64> {
    numbers(&open(sim).unwrap().1)
}

/// Opens a damaged log; gives file, offset and reason. Nothing may have been changed.
fn damage(sim: &SimDisk) -> (String, u64, String) {
    let before: Vec<_> = sim.files().iter().map(|name| sim.contents(name)).collect();
    let Err(error) = open(sim) else {
        panic!("damage was not seen");
    };
    let after: Vec<_> = sim.files().iter().map(|name| sim.contents(name)).collect();
    assert_eq!(before, after, "a damaged log was changed");
    match error {
        OpenError::Corrupt {
            file,
            offset,
            reason,
        } => (file, offset, reason),
        other => panic!("{other}"),
    }
}

/// Octets of a frame of [`numbered`] with 100 octets, and of a mark.
const FRAME: u64 = 48 + 112;
const MARK: u64 = 48;

#[test]
fn a_torn_last_group_is_cut() {
    for octet in [FRAME - 1, FRAME / 2, 50, 10, 0] {
        let sim = cut_off(&[1, 2, 3], &[]);
        let size = sim.contents(&segment(1)).len() as u64;
        let start = size - FRAME;
        sim.flip_bit(&segment(1), (start + octet) * 8);
        assert_eq!(served(&sim), [1, 2]);
        assert_eq!(served(&sim), [1, 2], "and again");
    }
}

#[test]
fn a_short_last_group_is_cut() {
    for missing in [1, 8, FRAME - 1, FRAME] {
        let sim = cut_off(&[1, 2, 3], &[]);
        sim.tamper(&segment(1), |octets| {
            octets.truncate(octets.len() - missing as usize);
        });
        assert_eq!(served(&sim), [1, 2]);
    }
}

#[test]
fn zeros_at_the_end_are_cut() {
    for zeros in [1, 7, 8, 512, 4096, 100_000] {
        let sim = cut_off(&[1, 2, 3], &[]);
        sim.tamper(&segment(1), |octets| octets.resize(octets.len() + zeros, 0));
        assert_eq!(served(&sim), [1, 2, 3]);
        let size = sim.contents(&segment(1)).len();
        assert!(size < 1000 + zeros, "the zeros are still there");
    }
}

#[test]
fn a_bad_frame_before_a_later_group_is_damage() {
    let sim = written(&[1, 2, 3], &[]);
    let start = 64 + MARK + FRAME;
    sim.flip_bit(&segment(1), (start + 60) * 8);
    let (file, offset, reason) = damage(&sim);
    assert_eq!((file, offset), (segment(1), start));
    assert!(reason.contains("later group"), "{reason}");
}

#[test]
fn after_a_clean_close_the_last_group_is_known_to_be_whole() {
    let sim = written(&[1, 2, 3], &[]);
    let start = 64 + MARK + 2 * FRAME;
    sim.flip_bit(&segment(1), (start + 60) * 8);
    assert_eq!(damage(&sim).1, start);
}

/// Even when only the later group's second frame holds.
#[test]
fn any_frame_of_a_later_group_counts() {
    let sim = SimDisk::new(1);
    let (log, _) = open(&sim).unwrap();
    log.submit(numbered(1, 100)).unwrap().wait().unwrap();
    sim.hold_syncs();
    let held = log.submit(numbered(2, 100)).unwrap();
    sim.wait_for_held_sync();
    let pair = [3, 4].map(|n| log.submit(numbered(n, 100)).unwrap());
    sim.release_syncs();
    let second = held.wait().unwrap();
    let [third, fourth] = pair.map(|ticket| ticket.wait().unwrap());
    assert_eq!(log.stats().groups, 3);
    drop(log);
    let end = fourth.offset + FRAME;
    sim.tamper(&segment(1), |octets| octets.truncate(end as usize));
    for at in [second.offset, third.offset] {
        sim.flip_bit(&segment(1), at * 8);
    }
    assert_eq!(damage(&sim).1, second.offset);
}

#[test]
fn a_later_segment_in_use_makes_a_bad_end_damage() {
    let sim = cut_off(&[1, 2, 3], &[3]);
    sim.tamper(&segment(1), |octets| octets.truncate(octets.len() - 1));
    assert_eq!(damage(&sim).0, segment(1));
}

#[test]
fn a_torn_seal_is_written_again() {
    let sim = cut_off(&[1, 2, 3], &[3]);
    // As if the power had failed during the seal: the next segment has a header only.
    sim.tamper(&segment(2), |octets| octets.truncate(64));
    sim.tamper(&segment(1), |octets| octets.truncate(octets.len() - 20));
    assert_eq!(served(&sim), [1, 2]);
    let (log, _) = open(&sim).unwrap();
    log.seal().unwrap().wait().unwrap();
    log.submit(numbered(9, 10)).unwrap().wait().unwrap();
    drop(log);
    assert_eq!(served(&sim), [1, 2, 9]);
}

#[test]
fn a_torn_header_of_an_unused_segment_is_dropped() {
    for octets in [0, 20, 64] {
        let sim = cut_off(&[1, 2, 3], &[3]);
        sim.tamper(&segment(2), |file| {
            file.truncate(64);
            file[..octets].fill(0);
            file.truncate(octets.max(30));
        });
        let seal = 64;
        sim.tamper(&segment(1), |file| file.truncate(file.len() - seal));
        assert_eq!(served(&sim), [1, 2]);
    }
}

#[test]
fn an_unused_segment_proves_what_was_synced_before_it() {
    for header_torn in [false, true] {
        let sim = cut_off(&[1, 2, 3], &[3]);
        sim.tamper(&segment(2), |file| {
            file.truncate(64);
            file[20] ^= u8::from(header_torn);
        });
        // The seal and a part of record 2 are missing.
        sim.tamper(&segment(1), |file| file.truncate(file.len() - 64 - 20));
        let (file, _, reason) = damage(&sim);
        assert_eq!(file, segment(1));
        assert!(reason.contains("synced before the next"), "{reason}");
    }
}

#[test]
fn lost_segments_are_damage() {
    for lost in 1..=3 {
        let sim = written(&[1, 2, 3], &[2, 3]);
        sim.lose(&segment(lost));
        let (file, ..) = damage(&sim);
        // Losing the last one is seen by the seal of the one before.
        let seen_in = if lost == 3 { segment(2) } else { segment(lost) };
        assert_eq!(file, seen_in);
    }
}

#[test]
fn a_lost_manifest_is_damage() {
    let sim = written(&[1], &[]);
    sim.lose("manifest");
    assert_eq!(damage(&sim).0, "manifest");
    let sim = written(&[1], &[]);
    sim.flip_bit("manifest", 100);
    assert_eq!(damage(&sim).0, "manifest");
}

#[test]
fn swapped_segments_are_damage() {
    let sim = written(&[1, 2, 3], &[2, 3]);
    let other = written(&[1, 2, 3], &[2, 3]);
    let foreign = other.contents(&segment(2));
    sim.tamper(&segment(2), |octets| *octets = foreign.clone());
    assert_eq!(damage(&sim).0, segment(2));
    let own = sim.contents(&segment(3));
    sim.tamper(&segment(2), |octets| *octets = own.clone());
    assert_eq!(damage(&sim).0, segment(2));
}

#[test]
fn octets_behind_a_seal_are_damage() {
    let sim = written(&[1, 2], &[2]);
    sim.tamper(&segment(1), |octets| octets.extend([0; 8]));
    assert_eq!(damage(&sim).0, segment(1));
}

#[test]
fn a_newer_version_is_refused() {
    let sim = written(&[1], &[]);
    sim.tamper(&segment(1), |octets| {
        octets[8] = 9;
        let sum = xxhash_rust::xxh3::xxh3_64(&octets[..56]);
        octets[56..64].copy_from_slice(&sum.to_le_bytes());
    });
    let Err(error) = open(&sim) else {
        panic!("it was opened");
    };
    assert_eq!(
        error.to_string(),
        "0000000000000001.segment has format version 9, this program reads up to 1: \
         use the release that wrote it or a later one"
    );
}

/// A message that is a copy of the log itself is a payload like any other.
#[test]
fn a_mailed_copy_of_the_log_imitates_nothing() {
    let sim = written(&[1, 2, 3], &[]);
    let copy = sim.contents(&segment(1));
    let (log, _) = open(&sim).unwrap();
    let mailed = segments::Record::new(1, copy.clone());
    let at = log.submit(mailed).unwrap().wait().unwrap();
    sim.power_cut();
    drop(log);
    // Its frame is torn; the frames inside it must not pass for later ones.
    sim.flip_bit(&segment(1), (at.offset + 2) * 8);
    assert_eq!(served(&sim), [1, 2, 3]);
}

/// Any damage anywhere: reported, or cut by the rule; what is served is what was written.
#[test]
fn random_damage_is_never_served() {
    for_seeds(300, |seed| {
        let mut rng = Rng::new(seed);
        let records: Vec<_> = (1..9).collect();
        let sim = match rng.one_in(2) {
            true => written(&records, &[4, 7]),
            false => cut_off(&records, &[4, 7]),
        };
        let files = sim.files();
        for _ in 0..=rng.below(3) {
            let file = &files[rng.below(files.len() as u64) as usize];
            let size = sim.contents(file).len() as u64;
            let at = rng.below(size.max(1)) as usize;
            let noise = rng.octets(rng.clone().below(600) as usize);
            let how = rng.below(4);
            sim.tamper(file, |octets| match how {
                _ if octets.is_empty() => {}
                0 => octets[at] ^= 1 << (noise.len() % 8),
                1 => octets.truncate(at),
                2 => octets.extend_from_slice(&noise),
                _ => {
                    let end = octets.len().min(at + noise.len());
                    octets[at..end].copy_from_slice(&noise[..end - at]);
                }
            });
        }
        if let Ok((log, found)) = open(&sim) {
            let found_numbers = numbers(&found);
            assert_eq!(found_numbers, records[..found.len()]);
            for (at, record) in &found {
                assert_eq!(log.read(*at).unwrap().payload(), record.payload());
            }
        }
    });
}
