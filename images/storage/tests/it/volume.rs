//! One process has a volume, until all of it is closed.

use std::sync::Arc;
use std::time::Duration;

use buzonera_storage::account::access::{Assigned, Place};
use buzonera_storage::index::Index;
use buzonera_storage::lease::Lease;
use buzonera_storage::metrics::Metrics;
use buzonera_storage::opening::Progress;
use buzonera_storage::records::Change;
use buzonera_storage::records::proto::Created;
use buzonera_storage::shard::{Settings, Shard, Unready};
use buzonera_storage::volume::{self, VolumeLock};
use segments::RealDisk;
use wire::ids::Epoch;

use crate::rig::{account, as_read, delivery, stored};

#[tokio::test]
async fn a_reader_keeps_the_lock_of_a_closed_shard() {
    let folder = tempfile::tempdir().unwrap();
    let (data, index) = (folder.path(), folder.path().join("index"));
    let shard = start(data).await;
    let a = account(1);
    let outcomes = shard.deliver(&delivery(1, b"m", &[a])).await;
    assert_eq!(outcomes, [stored(1)]);
    let maildrop = crate::rig::open(&shard, a, 1).await.unwrap();
    assert_eq!(
        maildrop.read(0, 0, 100).await.unwrap(),
        as_read(a, b"m")[..]
    );
    shard.close();
    drop(shard);
    let refused = VolumeLock::take(data).unwrap_err().to_string();
    assert!(
        refused.contains("is locked by another process"),
        "{refused}"
    );
    drop(maildrop);
    let lock = VolumeLock::take(data).unwrap();
    assert!(RealDisk::open(&data.join("heap")).is_ok());
    assert!(Index::open(&index, Some(lock)).is_ok());
}

/// A shard with one account on a real volume.
pub(crate) async fn start(data: &std::path::Path) -> Shard {
    let lock = VolumeLock::take(data).unwrap();
    let heap = volume::heap(data, &lock).unwrap();
    let options = segments::Options::default();
    let opened = volume::open(
        heap,
        options,
        &data.join("index"),
        Some(&lock),
        &Progress::default(),
    )
    .unwrap();
    let lease = Lease::new(Arc::new(kit::clock::boottime), Duration::from_millis(200));
    lease.granted(lease.now(), Duration::from_secs(600));
    let name = "shard-1".parse().unwrap();
    let shard = Shard::start(name, opened, lease, Settings::default(), Metrics::default()).unwrap();
    if shard.index().account(account(1)).unwrap().is_none() {
        let created = Change::Created(Created {
            epoch: 1,
            uid_validity: crate::rig::UID_VALIDITY,
            limits: None,
        });
        let done: Result<(), Unready> = shard.change(account(1), |_| Ok(Some(created))).await;
        done.unwrap();
    }
    let (epoch, place) = (Epoch(1), Place::Active);
    shard.assign(account(1), Assigned { epoch, place });
    shard
}
