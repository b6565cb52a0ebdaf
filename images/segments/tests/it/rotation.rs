//! Sealing, removing, reading back, and replay from a checkpoint.

use std::sync::Arc;

use segments::sim::{Fault, Rng, SimDisk};
use segments::{Log, LogError, OpenError, Options, Position, ReadError, RealDisk, Record};

use crate::support::{number_of, numbered, numbers, open, open_disk, small};

fn fill(log: &Log, range: std::ops::Range<u64>) -> Vec<Position> {
    range
        .map(|n| log.submit(numbered(n, 1000)).unwrap().wait().unwrap())
        .collect()
}

#[test]
fn full_segments_are_sealed() {
    let sim = SimDisk::new(1);
    let (log, _) = open(&sim).unwrap();
    let places = fill(&log, 0..50);
    let segments = log.segments();
    assert!(segments.len() > 3);
    for segment in &segments {
        assert_eq!(segment.sealed, segment.id != segments.len() as u64);
        assert!(segment.bytes <= small().segment_bytes + 64);
    }
    assert!(places.is_sorted());
    drop(log);
    let (log, found) = open(&sim).unwrap();
    assert_eq!(numbers(&found), (0..50).collect::<Vec<_>>());
    assert_eq!(log.segments().len(), segments.len());
}

#[test]
fn reads_back() {
    let sim = SimDisk::new(1);
    let (log, _) = open(&sim).unwrap();
    let at = fill(&log, 7..8)[0];
    let whole = log.read(at).unwrap().payload();
    assert_eq!(number_of(&log.read(at).unwrap()), 7);
    log.verify(at).unwrap();
    assert_eq!(log.read_range(at, 0, whole.len()).unwrap(), whole);
    assert_eq!(log.read_range(at, 10, 20).unwrap(), whole.slice(10..30));
    let beyond = log.read_range(at, 1000, 20);
    assert!(matches!(
        beyond,
        Err(ReadError::Range {
            length: 1008,
            wanted: 1020,
            ..
        })
    ));
    let beyond = log.read_range(at, u64::MAX, 20);
    assert!(matches!(beyond, Err(ReadError::Range { .. })));
    assert!(matches!(log.read(log.end()), Err(ReadError::BeyondEnd(_))));
    let inside = Position {
        offset: at.offset + 8,
        ..at
    };
    assert!(matches!(log.read(inside), Err(ReadError::Corrupt { .. })));
    let mark = Position { offset: 64, ..at };
    assert!(matches!(log.read(mark), Err(ReadError::Corrupt { .. })));
}

#[test]
fn a_damaged_record_is_not_served() {
    let sim = SimDisk::new(1);
    let (log, _) = open(&sim).unwrap();
    let at = fill(&log, 7..8)[0];
    sim.flip_bit(&sim.files()[0], (at.offset + 500) * 8);
    assert!(matches!(log.read(at), Err(ReadError::Corrupt { .. })));
    assert!(matches!(log.verify(at), Err(ReadError::Corrupt { .. })));
    assert!(matches!(
        log.read_range(at, 0, 1008),
        Err(ReadError::Corrupt { .. })
    ));
}

#[test]
fn records_of_any_size() {
    let sim = SimDisk::new(1);
    let (log, _) = open(&sim).unwrap();
    let sizes = [0, 1, 7, 8, 9, 4096, 40_000, 3 << 20];
    for size in sizes {
        let record = Record::new(3, vec![9; size]);
        let at = log.submit(record).unwrap().wait().unwrap();
        assert_eq!(log.read(at).unwrap().payload(), vec![9; size]);
    }
    let large = Record::new(3, vec![0; (80 << 20) + 1]);
    assert!(matches!(log.submit(large), Err(LogError::TooLarge(_))));
    drop(log);
    let (_log, found) = open(&sim).unwrap();
    let found: Vec<_> = found.iter().map(|(_, record)| record.len()).collect();
    assert_eq!(found, sizes);
}

#[test]
fn removed_segments_stay_away() {
    let sim = SimDisk::new(1);
    let (log, _) = open(&sim).unwrap();
    let places = fill(&log, 0..50);
    let last = log.segments().len() as u64;
    assert!(matches!(
        log.remove_segment(last),
        Err(LogError::NotSealed(_))
    ));
    assert!(matches!(
        log.remove_segment(99),
        Err(LogError::NoSuchSegment(99))
    ));
    for id in [2, 1] {
        log.remove_segment(id).unwrap();
        log.remove_segment(id).unwrap();
    }
    assert!(matches!(
        log.read(places[0]),
        Err(ReadError::NoSuchSegment(1))
    ));
    let kept: Vec<_> = (0..50)
        .filter(|n| places[*n as usize].segment > 2)
        .collect();
    for _ in 0..2 {
        sim.power_cut();
        let (log, found) = open(&sim).unwrap();
        assert_eq!(numbers(&found), kept);
        assert_eq!(log.segments()[0].id, 3);
    }
}

#[test]
fn a_hole_in_the_middle() {
    let sim = SimDisk::new(1);
    let (log, _) = open(&sim).unwrap();
    let places = fill(&log, 0..50);
    log.remove_segment(2).unwrap();
    drop(log);
    let kept: Vec<_> = (0..50)
        .filter(|n| places[*n as usize].segment != 2)
        .collect();
    let (log, found) = open(&sim).unwrap();
    assert_eq!(numbers(&found), kept);
    fill(&log, 50..60);
    let sealed: Vec<_> = log
        .segments()
        .iter()
        .filter(|s| s.sealed)
        .map(|s| s.id)
        .collect();
    sealed
        .iter()
        .for_each(|id| log.remove_segment(*id).unwrap());
    drop(log);
    assert_eq!(open(&sim).unwrap().0.segments().len(), 1);
}

/// Whatever survives of the removal, the segment is there whole or gone for good.
#[test]
fn power_cuts_while_removing() {
    let mut gone = 0;
    for seed in 0..100 {
        let sim = SimDisk::new(seed);
        let (log, _) = open(&sim).unwrap();
        fill(&log, 0..30);
        sim.lie_about_syncs(Rng::new(seed).one_in(2));
        log.remove_segment(1).unwrap();
        sim.lie_about_syncs(false);
        sim.power_cut();
        drop(log);
        match open(&sim) {
            Ok((log, found)) => {
                let first = log.segments()[0].id;
                gone += usize::from(first == 2);
                assert_eq!(numbers(&found).contains(&0), first == 1);
            }
            // A disk that lies can lose what is recorded; never silently.
            Err(OpenError::Corrupt { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(gone > 50);
}

#[test]
fn a_removal_that_cannot_be_recorded_changes_nothing() {
    let sim = SimDisk::new(1);
    let (log, _) = open(&sim).unwrap();
    fill(&log, 0..40);
    sim.fail_next_write(Fault::Full);
    assert!(matches!(log.remove_segment(1), Err(LogError::Manifest(_))));
    assert!(!log.failed());
    assert_eq!(log.segments()[0].id, 1);
    log.remove_segment(1).unwrap();
    sim.fail_next_sync(Fault::Broken);
    assert!(matches!(
        log.remove_segment(2),
        Err(LogError::Failed { .. })
    ));
    assert!(log.failed());
}

#[test]
fn replay_from_a_checkpoint() {
    let sim = SimDisk::new(1);
    let (log, _) = open(&sim).unwrap();
    let places = fill(&log, 0..50);
    let end = log.end();
    drop(log);
    for (from, place) in places.iter().enumerate() {
        let (_log, found) = open_disk(sim.disk(), small(), Some(*place)).unwrap();
        let expected: Vec<_> = (from as u64..50).collect();
        assert_eq!(numbers(&found), expected);
    }
    let (log, found) = open_disk(sim.disk(), small(), Some(end)).unwrap();
    assert!(found.is_empty());
    fill(&log, 50..80);
    drop(log);
    let (_log, found) = open_disk(sim.disk(), small(), Some(end)).unwrap();
    assert_eq!(numbers(&found), (50..80).collect::<Vec<_>>());
}

#[test]
fn checkpoints_that_do_not_fit() {
    let sim = SimDisk::new(1);
    let fresh = Position {
        segment: 1,
        offset: 64,
    };
    let refused = |from: Position| {
        let error = open_disk(sim.disk(), small(), Some(from)).err();
        matches!(error, Some(OpenError::BadCheckpoint { .. }))
    };
    assert!(refused(fresh), "the log is new");
    let (log, _) = open(&sim).unwrap();
    let places = fill(&log, 0..50);
    log.remove_segment(1).unwrap();
    let end = log.end();
    drop(log);
    assert!(refused(places[0]), "its segment was removed");
    let place = places[40];
    assert!(refused(Position {
        offset: place.offset + 8,
        ..place
    }));
    assert!(refused(Position {
        offset: end.offset + 4800,
        ..end
    }));
    assert!(refused(Position {
        segment: end.segment + 1,
        offset: 64
    }));
    assert!(!refused(place));
}

/// An index that outlived a power cut which the log's tail did not.
#[test]
fn a_checkpoint_beyond_a_cut_is_refused() {
    let sim = SimDisk::new(1);
    let (log, _) = open(&sim).unwrap();
    let places = fill(&log, 0..9);
    drop(log);
    let end = places[8].offset as usize + 10;
    sim.tamper(&sim.files()[0], |octets| octets.truncate(end));
    let from = |at| open_disk(sim.disk(), small(), Some(at)).map(|(_, found)| numbers(&found));
    assert!(matches!(from(places[8]), Ok(found) if found.is_empty()));
    assert!(matches!(from(places[7]), Ok(found) if found == [7]));
    let beyond = Position {
        offset: end as u64 + 500,
        ..places[8]
    };
    assert!(matches!(from(beyond), Err(OpenError::BadCheckpoint { .. })));
}

#[test]
fn a_visitor_may_refuse() {
    let sim = SimDisk::new(1);
    let (log, _) = open(&sim).unwrap();
    let places = fill(&log, 0..3);
    drop(log);
    let refused = Log::open(sim.disk(), small(), None, &mut |at, _| {
        if at == places[1] {
            Err("not this one".into())
        } else {
            Ok(())
        }
    });
    let error = refused
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(error.ends_with("was refused: not this one"), "{error}");
}

#[test]
fn over_a_real_folder() {
    let folder = tempfile::tempdir().unwrap();
    let disk = || Arc::new(RealDisk::open(folder.path()).unwrap());
    let (log, _) = open_disk(disk(), Options::default(), None).unwrap();
    let tickets: Vec<_> = (0..200)
        .map(|n| log.submit(numbered(n, 9000)).unwrap())
        .collect();
    let places: Vec<_> = tickets.into_iter().map(|t| t.wait().unwrap()).collect();
    assert!(log.stats().groups < 200, "they share syncs");
    log.seal().unwrap().wait().unwrap();
    fill(&log, 200..210);
    log.remove_segment(1).unwrap();
    drop(log);
    let (log, found) = open_disk(disk(), Options::default(), None).unwrap();
    assert_eq!(numbers(&found), (200..210).collect::<Vec<_>>());
    assert!(log.read(places[0]).is_err());
}

/// More segments than files may be open at once.
#[test]
fn many_segments() {
    let sim = SimDisk::new(1);
    let (log, _) = open(&sim).unwrap();
    let mut places = Vec::new();
    for number in 0..300 {
        places.extend(fill(&log, number..number + 1));
        log.seal().unwrap().wait().unwrap();
    }
    for (number, at) in places.iter().enumerate() {
        assert_eq!(number_of(&log.read(*at).unwrap()), number as u64);
    }
    drop(log);
    let (log, found) = open(&sim).unwrap();
    assert_eq!(found.len(), 300);
    assert_eq!(number_of(&log.read(places[0]).unwrap()), 0);
}

#[tokio::test]
async fn tickets_are_futures() {
    let sim = SimDisk::new(1);
    let (log, _) = open(&sim).unwrap();
    let ticket = log.submit(numbered(1, 10)).unwrap();
    let at = ticket.await.unwrap();
    assert_eq!(number_of(&log.read(at).unwrap()), 1);
}
