//! What the spool refuses.

use segments::LogError;
use segments::sim::{Fault, SimDisk};

use super::support::*;
use crate::spool::{AcceptError, Config, EntryId, Spool};

#[tokio::test]
async fn entries() {
    let sim = SimDisk::new(1);
    let config = Config {
        max_entries: 2,
        ..config()
    };
    let spool = Spool::open(sim.disk(), config, Time::new().clock()).unwrap();
    for number in 0..2 {
        spool.accept(message(number, 10, &[1])).await.unwrap();
    }
    let full = spool.accept(message(3, 10, &[1])).await;
    assert!(matches!(full, Err(AcceptError::Full)));
    drop_now(&spool, EntryId(1)).await;
    spool.accept(message(3, 10, &[1])).await.unwrap();
}

#[tokio::test]
async fn octets() {
    let sim = SimDisk::new(1);
    let config = Config {
        max_bytes: 4000,
        ..config()
    };
    let spool = Spool::open(sim.disk(), config, Time::new().clock()).unwrap();
    spool.accept(message(1, 3000, &[1])).await.unwrap();
    let full = spool.accept(message(2, 1000, &[1])).await;
    assert!(matches!(full, Err(AcceptError::Full)));
    spool.accept(message(3, 100, &[1])).await.unwrap();
}

#[tokio::test]
async fn octets_of_those_on_their_way() {
    let sim = SimDisk::new(1);
    let config = Config {
        max_bytes: 4000,
        ..config()
    };
    let spool = Spool::open(sim.disk(), config, Time::new().clock()).unwrap();
    let two = tokio::join!(
        spool.accept(message(1, 3000, &[1])),
        spool.accept(message(2, 3000, &[1]))
    );
    assert!(
        matches!(
            two,
            (Ok(_), Err(AcceptError::Full)) | (Err(AcceptError::Full), Ok(_))
        ),
        "{two:?}"
    );
}

#[tokio::test]
async fn targets() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = open(&sim, &time);
    let none = spool.accept(message(1, 10, &[])).await;
    assert!(matches!(none, Err(AcceptError::Targets(0))));
    let many: Vec<_> = (0..1001).collect();
    let many = spool.accept(message(1, 10, &many)).await;
    assert!(matches!(many, Err(AcceptError::Targets(1001))));
}

#[tokio::test]
async fn a_broken_disk_accepts_nothing() {
    let (sim, time) = (SimDisk::new(1), Time::new());
    let spool = open(&sim, &time);
    sim.fail_next_sync(Fault::Broken);
    for number in 0..2 {
        let broken = spool.accept(message(number, 10, &[1])).await;
        assert!(matches!(
            broken,
            Err(AcceptError::Log(LogError::Failed { .. }))
        ));
    }
    assert!(spool.failed());
    assert_eq!(spool.counts().entries, 0);
}
