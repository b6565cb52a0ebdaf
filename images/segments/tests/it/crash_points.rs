//! The power fails after every single change to the disk, during work and during recovery.

use segments::sim::SimDisk;
use segments::{Log, LogError, OpenError};

use crate::support::{for_seeds, numbered, numbers, open};

/// What is known of a run when the power failed.
#[derive(Default)]
struct Known {
    acknowledged: Vec<u64>,
    /// Segment 1, with records 1 and 2, was to be removed; and was.
    removing: bool,
    removed: bool,
}

/// Does one of everything, until the disk dies; true if it did not.
fn work(sim: &SimDisk, known: &mut Known) -> bool {
    let Ok((log, _)) = open(sim) else {
        return false;
    };
    let done = steps(&log, known).is_ok();
    drop(log);
    done && !sim.is_dead()
}

fn steps(log: &Log, known: &mut Known) -> Result<(), LogError> {
    append(log, known, &[1, 2])?;
    log.seal()?.wait()?;
    append(log, known, &[3])?;
    known.removing = true;
    log.remove_segment(1)?;
    known.removed = true;
    append(log, known, &[4, 5])?;
    log.seal()?.wait()?;
    append(log, known, &[6])
}

fn append(log: &Log, known: &mut Known, records: &[u64]) -> Result<(), LogError> {
    for number in records {
        log.submit(numbered(*number, 700))?.wait()?;
        known.acknowledged.push(*number);
    }
    Ok(())
}

fn check(sim: &SimDisk, known: &Known) -> Result<(), OpenError> {
    let (log, found) = open(sim)?;
    let found = numbers(&found);
    assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
    for number in &known.acknowledged {
        let may_be_gone = *number <= 2 && known.removing;
        assert!(may_be_gone || found.contains(number), "{number} is lost");
    }
    assert!(
        !(known.removed && found.contains(&1)),
        "a removal is undone"
    );
    assert_eq!(
        found.contains(&1) && known.removing,
        found.contains(&2) && known.removing
    );
    let attempted = known.acknowledged.last().map_or(1, |last| last + 1);
    assert!(found.last().is_none_or(|last| *last <= attempted));
    drop(log);
    Ok(())
}

/// Dies after `at` changes; true if the work was done before that.
fn dies_at(seed: u64, at: u64) -> bool {
    let sim = SimDisk::new(seed);
    sim.die_after(at);
    let mut known = Known::default();
    let done = work(&sim, &mut known);
    sim.power_cut();
    // Then again during recovery, a little later each time.
    for again in 0..40 {
        sim.die_after(again);
        match check(&sim, &known) {
            Ok(()) => break,
            Err(OpenError::Io { .. } | OpenError::Log(_)) => sim.power_cut(),
            Err(other) => panic!("after {at} changes: {other}"),
        }
    }
    sim.power_cut();
    check(&sim, &known).unwrap_or_else(|error| panic!("after {at} changes: {error}"));
    done
}

#[test]
fn after_every_change() {
    for_seeds(8, |seed| {
        let last = (0..200).find(|at| dies_at(seed, *at));
        assert!(last.is_some_and(|last| last > 30), "{last:?}");
    });
}
