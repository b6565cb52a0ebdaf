//! A shard gets its lease with the volume that it served last, and with no other.

use buzonera_directory::model::Key;
use buzonera_directory::model::records::VolumeRecord;
use kit::services::registry_server::Registry as _;
use tonic::{Code, Status};
use wire::rpc::acquire_lease_reply::Result as Lease;
use wire::rpc::{AcquireLeaseRequest, TellVolumeRequest, Volume};

use super::{World, claim, from};

fn key() -> Key {
    Key::Volume("shard-1".parse().unwrap())
}

impl World {
    async fn tell(&self, incarnation: u64, volume: Volume) -> Result<(), Status> {
        let request = TellVolumeRequest {
            incarnation,
            volume: Some(volume),
        };
        let told = self.registry.tell_volume(from("shard-1", request)).await;
        told.map(|_| ())
    }

    async fn asked(&self, change: impl FnOnce(&mut AcquireLeaseRequest)) -> Lease {
        let mut request = claim(1, "boot-a");
        change(&mut request);
        self.ask("shard-1", request).await
    }
}

fn volume(request: &mut AcquireLeaseRequest) -> &mut Volume {
    request.volume.as_mut().unwrap()
}

/// The volume of the first run, as it told of it.
async fn served() -> World {
    let world = World::embedded().await;
    assert_eq!(world.granted("shard-1", 0, "boot-a").await, 1);
    let told = claim(1, "boot-a").volume.unwrap();
    world.tell(1, told).await.unwrap();
    world
}

fn refused(lease: Lease, why: &str) {
    let Lease::BadVolume(reason) = lease else {
        panic!("{why}: {lease:?}");
    };
    assert!(reason.contains(why), "{reason}");
    let command = "buzonera shard replace-volume shard-1";
    assert!(reason.contains(command), "{reason}");
}

#[tokio::test]
async fn an_older_empty_other_or_shorter_volume_is_refused() {
    let world = served().await;
    assert_eq!(world.granted("shard-1", 1, "boot-a").await, 2);
    let mut newer = claim(2, "boot-a").volume.unwrap();
    newer.offset = 900;
    world.tell(2, newer.clone()).await.unwrap();
    refused(world.asked(|_| {}).await, "incarnation 1");
    let right = |request: &mut AcquireLeaseRequest| *volume(request) = newer.clone();
    let wrong = |change: fn(&mut Volume)| {
        world.asked(move |request| {
            right(request);
            change(volume(request));
        })
    };
    refused(
        wrong(|it| {
            *it = Volume {
                id: it.id.clone(),
                ..Volume::default()
            }
        })
        .await,
        "empty",
    );
    refused(
        wrong(|it| it.id = vec![2; 16].into()).await,
        "not the volume",
    );
    refused(wrong(|it| it.offset = 899).await, "lost acknowledged mail");
    refused(wrong(|it| it.sum = 1).await, "lost acknowledged mail");
    refused(wrong(|it| it.opened = 3).await, "store is older");
    let Lease::Granted(granted) = world.asked(right).await else {
        panic!("the right volume is refused");
    };
    assert_eq!(granted.incarnation, 3);
}

/// A copy has the volume's id, the machine its boot id; the lock is another file.
#[tokio::test]
async fn only_the_holder_of_the_same_lock_takes_over_at_once() {
    let world = World::embedded().await;
    assert_eq!(world.granted("shard-1", 0, "boot-a").await, 1);
    for change in [
        (|it| it.lock.as_mut().unwrap().inode = 2) as fn(&mut AcquireLeaseRequest),
        |it| it.lock.as_mut().unwrap().device = 2,
        |it| it.lock = None,
        |it| volume(it).id = vec![2; 16].into(),
        |it| it.boot_id = "boot-b".to_owned(),
    ] {
        let lease = world
            .asked(|request| {
                volume(request).opened = 0;
                change(request);
            })
            .await;
        assert!(matches!(lease, Lease::Held(_)), "{lease:?}");
    }
    assert_eq!(world.granted("shard-1", 0, "boot-a").await, 2);
}

#[tokio::test]
async fn only_the_newest_run_tells() {
    let world = served().await;
    let known: VolumeRecord = world.read(key()).await.unwrap();
    assert_eq!((known.opened, known.offset), (1, 500));
    assert_eq!(world.granted("shard-1", 1, "boot-a").await, 2);
    let late = claim(1, "boot-a").volume.unwrap();
    let status = world.tell(1, late).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    let nameless = world.tell(2, Volume::default()).await.unwrap_err();
    assert_eq!(nameless.code(), Code::InvalidArgument, "{nameless}");
    let known: VolumeRecord = world.read(key()).await.unwrap();
    assert_eq!(known.opened, 1);
}

#[tokio::test]
async fn whichever_volume_comes_is_taken_once_when_it_is_awaited() {
    let world = served().await;
    let lost = |request: &mut AcquireLeaseRequest| {
        request.lost = true;
        request.volume = None;
    };
    // The holder of the lease has ended.
    refused(world.asked(lost).await, "index proves");
    let awaited = VolumeRecord {
        awaited: true,
        ..world.read(key()).await.unwrap()
    };
    world.put(&key(), &awaited).await;
    loop {
        match world.asked(lost).await {
            Lease::GoOn(_) => break,
            Lease::Held(_) => tokio::task::yield_now().await,
            other => panic!("{other:?}"),
        }
    }
    let other = |request: &mut AcquireLeaseRequest| {
        let id = vec![2; 16].into();
        *volume(request) = Volume {
            id,
            opened: 40,
            ..Volume::default()
        };
    };
    let Lease::Granted(granted) = world.asked(other).await else {
        panic!("it was awaited");
    };
    assert_eq!(granted.incarnation, 41);
    let mut told = claim(41, "boot-a").volume.unwrap();
    told.id = vec![2; 16].into();
    world.tell(41, told).await.unwrap();
    refused(world.asked(lost).await, "index proves");
    refused(
        world.asked(|request| volume(request).opened = 41).await,
        "not the volume",
    );
}
