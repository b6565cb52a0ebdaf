//! A log that is opened quietly ends where it ended, whatever its owner is told; a full disk does
//! not keep it from being read.

use segments::sim::{Fault, SimDisk};
use segments::{Log, OpenError, Options};

use crate::support::{numbered, numbers, open_disk, small};

fn quiet() -> Options {
    Options {
        quiet: true,
        ..small()
    }
}

fn append(log: &Log, number: u64) {
    log.submit(numbered(number, 100)).unwrap().wait().unwrap();
}

fn octets(sim: &SimDisk) -> Vec<(String, Vec<u8>)> {
    let files = sim.files().into_iter();
    files
        .map(|name| (name.clone(), sim.contents(&name)))
        .collect()
}

#[test]
fn nothing_is_written_before_the_first_record() {
    let sim = SimDisk::new(1);
    let (log, _) = open_disk(sim.disk(), quiet(), None).unwrap();
    let id = log.id();
    append(&log, 0);
    drop(log);
    let before = octets(&sim);
    let mut tips = Vec::new();
    for _ in 0..3 {
        let (log, found) = open_disk(sim.disk(), quiet(), None).unwrap();
        assert_eq!((numbers(&found), log.id()), (vec![0], id));
        tips.push(log.tip());
        drop(log);
        assert!(octets(&sim) == before, "nothing was written");
    }
    assert_eq!(Log::id_on(&*sim.disk()).unwrap(), Some(id));
    let (log, _) = open_disk(sim.disk(), quiet(), None).unwrap();
    append(&log, 1);
    assert!(log.tip().at > tips[0].at);
    assert!(tips.iter().all(|tip| *tip == tips[0]));
}

/// Two histories of one log that are equally long have different tips.
#[test]
fn a_tip_tells_histories_apart() {
    let tip = |number| {
        let sim = SimDisk::new(1);
        let (log, _) = open_disk(sim.disk(), quiet(), None).unwrap();
        append(&log, number);
        log.tip()
    };
    assert_eq!(tip(1).at, tip(2).at);
    assert_ne!(tip(1).sum, tip(2).sum);
}

#[test]
fn a_full_disk_is_opened_and_read() {
    let sim = SimDisk::new(2);
    let (log, _) = open_disk(sim.disk(), quiet(), None).unwrap();
    append(&log, 0);
    drop(log);
    let used = octets(&sim)
        .into_iter()
        .map(|(_, octets)| octets.len() as u64);
    sim.set_capacity(Some(used.sum()));
    let (log, found) = open_disk(sim.disk(), quiet(), None).unwrap();
    assert_eq!(numbers(&found), [0]);
    assert!(log.read(found[0].0).is_ok());
    let refused = log.submit(numbered(1, 100)).unwrap().wait().unwrap_err();
    assert!(refused.is_full() && log.failed(), "{refused}");
    drop(log);
    sim.set_capacity(None);
    let (log, found) = open_disk(sim.disk(), quiet(), None).unwrap();
    assert_eq!(numbers(&found), [0], "what was refused was cut");
    append(&log, 1);
}

/// Whoever saw the last group may count on it: it was synced again before.
#[test]
fn the_last_group_is_given_when_it_is_durable() {
    let sim = SimDisk::new(3);
    let (log, _) = open_disk(sim.disk(), quiet(), None).unwrap();
    (0..3).for_each(|number| append(&log, number));
    let last = log.end();
    sim.power_cut();
    drop(log);
    sim.fail_next_sync(Fault::Broken);
    let mut seen = 0;
    let opened = Log::open(sim.disk(), quiet(), None, &mut |_, _| {
        seen += 1;
        Ok(())
    });
    assert!(matches!(opened.err(), Some(OpenError::Io { .. })));
    assert_eq!(seen, 2);
    let (log, found) = open_disk(sim.disk(), quiet(), None).unwrap();
    assert_eq!((numbers(&found), log.end()), (vec![0, 1, 2], last));
}
