//! A volume that has lost mail is served when an administrator says so, and all that is on it is new
//! to clients.

use std::fs::OpenOptions;
use std::sync::atomic::Ordering;

use buzonera_storage::Error;
use buzonera_storage::volume::VolumeError;
use wire::rpc::AccountState;
use wire::rpc::confirmation::What;
use wire::rpc::deliver_outcome::Outcome;

use crate::net::Cluster;
use crate::rig::{UID_VALIDITY, account};
use crate::serving::{create, deliver};

/// UID and UIDVALIDITY of a message that was just stored.
fn stored(outcome: &Outcome) -> (u32, u32) {
    match outcome {
        Outcome::Stored(at) => (at.uid, at.uid_validity),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_heap_that_lost_mail_is_served_only_after_an_administrators_word() {
    let cluster = Cluster::new().await;
    let shard = cluster.start("shard-1").await;
    let (kept, gone) = (account(1), account(2));
    for id in [kept, gone] {
        create(&cluster, &shard, id).await;
    }
    let first = deliver(&cluster, &shard, kept, 1, 1).await.unwrap();
    assert_eq!(stored(&first), (1, UID_VALIDITY));
    let heap = cluster.data("shard-1").join("heap");
    let segment = heap.join(format!("{:016x}.segment", 1));
    let older = std::fs::metadata(&segment).unwrap().len();
    let later = deliver(&cluster, &shard, kept, 1, 2).await.unwrap();
    assert_eq!(stored(&later), (2, UID_VALIDITY));
    shard.stop().await;
    let file = OpenOptions::new().write(true).open(&segment).unwrap();
    file.set_len(older).unwrap();

    for _ in 0..2 {
        let ended = cluster.start("shard-1").await.ended().await;
        let Err(Error::Volume(VolumeError::Lost(lost))) = ended else {
            panic!("{ended:?}");
        };
        assert!(lost.known >= lost.end, "{lost:?}");
    }

    cluster.script.go_on.store(true, Ordering::SeqCst);
    let floor = UID_VALIDITY + 1000;
    for id in [kept, gone] {
        cluster.says_since(id, "shard-1", 2, AccountState::Creating, floor);
    }
    let shard = cluster.start("shard-1").await;
    for id in [kept, gone] {
        cluster.confirmed(id, 2, What::Created.into()).await;
        cluster.says_since(id, "shard-1", 2, AccountState::Active, floor);
    }
    // Its UID is given again, and means another message under another UIDVALIDITY.
    let again = deliver(&cluster, &shard, kept, 2, 3).await.unwrap();
    assert_eq!(stored(&again), (2, floor));
    // What was routed by the old volume's epoch does not act.
    let stale = deliver(&cluster, &shard, kept, 1, 4).await.unwrap();
    assert_eq!(stale, Outcome::Moved(2));
    shard.stop().await;
    let shard = cluster.start("shard-1").await;
    let last = deliver(&cluster, &shard, kept, 2, 5).await.unwrap();
    assert_eq!(stored(&last), (3, floor));
    shard.stop().await;
}

/// An empty volume: the account is there again, empty, and no client takes it for the old one.
#[tokio::test]
async fn an_account_that_is_not_on_the_volume_is_made_anew() {
    let cluster = Cluster::new().await;
    let floor = UID_VALIDITY + 1000;
    let id = account(1);
    cluster.says_since(id, "shard-1", 5, AccountState::Creating, floor);
    let shard = cluster.start("shard-1").await;
    cluster.confirmed(id, 5, What::Created.into()).await;
    cluster.says_since(id, "shard-1", 5, AccountState::Active, floor);
    let first = deliver(&cluster, &shard, id, 5, 1).await.unwrap();
    assert_eq!(stored(&first), (1, floor));
    shard.stop().await;
}
