//! A failed write or sync ends the log for good, and nothing is acknowledged before its sync.

use std::sync::mpsc;

use segments::sim::{Fault, SimDisk};
use segments::{LogError, ReadError};

use crate::support::{numbered, numbers, open};

#[test]
fn nothing_is_acknowledged_before_its_sync() {
    let sim = SimDisk::new(1);
    let (log, _) = open(&sim).unwrap();
    sim.hold_syncs();
    let ticket = log.submit(numbered(1, 10)).unwrap();
    sim.wait_for_held_sync();
    let end = log.end();
    let (sender, answers) = mpsc::channel();
    let waiter = std::thread::spawn(move || sender.send(ticket.wait().is_ok()));
    assert!(answers.try_recv().is_err());
    assert!(matches!(log.read(end), Err(ReadError::BeyondEnd(_))));
    sim.release_syncs();
    assert!(answers.recv().unwrap());
    assert!(log.read(end).is_ok());
    assert!(waiter.join().is_ok());
}

#[test]
fn who_waits_shares_one_sync() {
    let sim = SimDisk::new(1);
    let (log, _) = open(&sim).unwrap();
    sim.hold_syncs();
    let first = log.submit(numbered(0, 10)).unwrap();
    sim.wait_for_held_sync();
    let rest: Vec<_> = (1..9)
        .map(|n| log.submit(numbered(n, 10)).unwrap())
        .collect();
    let before = sim.syncs();
    sim.release_syncs();
    let all = std::iter::once(first).chain(rest);
    let places: Vec<_> = all.map(|ticket| ticket.wait().unwrap()).collect();
    assert!(places.is_sorted());
    assert_eq!(sim.syncs(), before + 1);
    let stats = log.stats();
    assert_eq!((stats.records, stats.groups), (9, 2));
}

/// Fails one operation; all later ones fail too, without the disk being asked again.
fn ends_for_good(fail: impl Fn(&SimDisk)) {
    let sim = SimDisk::new(3);
    let (log, _) = open(&sim).unwrap();
    let kept = log.submit(numbered(1, 10)).unwrap().wait().unwrap();
    fail(&sim);
    let failed = log.submit(numbered(2, 5000)).unwrap().wait();
    assert!(matches!(failed, Err(LogError::Failed { .. })));
    assert!(log.failed());
    let syncs = sim.syncs();
    assert!(matches!(
        log.submit(numbered(3, 10)),
        Err(LogError::Failed { .. })
    ));
    assert!(matches!(log.seal(), Err(LogError::Failed { .. })));
    assert!(log.read(kept).is_ok(), "what is durable can still be read");
    drop(log);
    assert_eq!(sim.syncs(), syncs, "a failed sync is never tried again");
    // The disk may hold record 2 or not; record 3 never.
    let (_log, found) = open(&sim).unwrap();
    let found = numbers(&found);
    assert!(found == [1] || found == [1, 2], "{found:?}");
}

/// A log that has stopped leaves the disk alone, so that it can be opened anew beside it.
#[test]
fn a_log_that_failed_is_opened_anew_beside_it() {
    for seed in 0..50 {
        let sim = SimDisk::new(seed);
        let (old, _) = open(&sim).unwrap();
        let kept = old.submit(numbered(1, 10)).unwrap().wait().unwrap();
        sim.set_capacity(Some(1000));
        let refused = old.submit(numbered(2, 3000)).unwrap().wait();
        assert!(refused.is_err_and(|error| error.is_full()));
        old.stop();
        sim.set_capacity(None);
        let (log, _) = open(&sim).unwrap();
        log.submit(numbered(3, 10)).unwrap().wait().unwrap();
        log.seal().unwrap().wait().unwrap();
        assert!(matches!(
            old.remove_segment(kept.segment),
            Err(LogError::Failed { .. })
        ));
        assert!(old.read(kept).is_ok() && log.read(kept).is_ok());
        drop(old);
        sim.power_cut();
        drop(log);
        let (_log, found) = open(&sim).unwrap();
        let found = numbers(&found);
        assert!(found == [1, 3] || found == [1, 2, 3], "{found:?}");
    }
}

#[test]
fn a_failed_sync_ends_the_log() {
    ends_for_good(|sim| sim.fail_next_sync(Fault::Broken));
}

#[test]
fn a_failed_write_ends_the_log() {
    ends_for_good(|sim| sim.fail_next_write(Fault::Broken));
}

#[test]
fn a_full_disk_ends_the_log() {
    ends_for_good(|sim| sim.set_capacity(Some(1000)));
}

/// After a failed sync the kernel shows what is not on the disk: the next opening makes it so.
#[test]
fn what_recovery_serves_is_on_the_disk() {
    let mut shown = 0;
    for seed in 0..100 {
        let sim = SimDisk::new(seed);
        let (log, _) = open(&sim).unwrap();
        log.submit(numbered(1, 10)).unwrap().wait().unwrap();
        sim.fail_next_sync(Fault::Broken);
        assert!(log.submit(numbered(2, 3000)).unwrap().wait().is_err());
        drop(log);
        let (log, found) = open(&sim).unwrap();
        let served = numbers(&found);
        shown += usize::from(served == [1, 2]);
        sim.power_cut();
        drop(log);
        let (_log, found) = open(&sim).unwrap();
        assert_eq!(numbers(&found), served, "seed {seed}");
    }
    assert!(shown > 50, "the kernel shows what it did not write");
}

/// A cut whose sync failed is seen and not on the disk: it is done again.
#[test]
fn a_torn_tail_is_cut_for_good() {
    for seed in 0..300 {
        let sim = SimDisk::new(seed);
        let (log, _) = open(&sim).unwrap();
        log.submit(numbered(1, 10)).unwrap().wait().unwrap();
        sim.fail_next_write(Fault::Broken);
        assert!(log.submit(numbered(2, 9000)).unwrap().wait().is_err());
        drop(log);
        sim.fail_next_sync(Fault::Broken);
        assert!(open(&sim).is_err());
        let (log, _) = open(&sim).unwrap();
        log.submit(numbered(3, 10)).unwrap().wait().unwrap();
        log.seal().unwrap().wait().unwrap();
        log.submit(numbered(4, 10)).unwrap().wait().unwrap();
        sim.power_cut();
        drop(log);
        let (_log, found) = open(&sim).unwrap();
        assert_eq!(numbers(&found), [1, 3, 4], "seed {seed}");
    }
}
