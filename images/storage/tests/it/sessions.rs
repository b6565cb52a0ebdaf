//! A maildrop: one at a time, from the index, deletes durable before they are said.

use std::sync::atomic::Ordering;
use std::time::Duration;

use buzonera_storage::account::access::{Assigned, NotYet, Place};
use buzonera_storage::maildrop::{OpenError, ReadError};
use buzonera_storage::records::proto::Holding;
use buzonera_storage::shard::Why;
use tokio::time::timeout;
use wire::ids::{Epoch, Incarnation};

use crate::rig::{Rig, SOON, account, as_read, delivery, open, read_all, stored};

#[tokio::test]
async fn one_session_at_a_time() {
    let mut rig = Rig::new(1);
    let a = account(1);
    rig.create(a).await;
    let first = open(rig.shard(), a, 1).await.unwrap();
    assert_eq!(open(rig.shard(), a, 1).await.err(), Some(OpenError::InUse));
    drop(first);
    assert!(open(rig.shard(), a, 1).await.is_ok());
}

#[tokio::test]
async fn the_snapshot_does_not_change() {
    let mut rig = Rig::new(2);
    let a = account(1);
    rig.create(a).await;
    rig.shard().deliver(&delivery(1, b"one", &[a])).await;
    let maildrop = open(rig.shard(), a, 1).await.unwrap();
    rig.shard().deliver(&delivery(2, b"two", &[a])).await;
    assert_eq!(maildrop.messages().len(), 1);
    assert_eq!(
        maildrop.read(0, 0, 100).await.unwrap(),
        as_read(a, b"one")[..]
    );
    drop(maildrop);
    assert_eq!(read_all(rig.shard(), a).await.len(), 2);
}

#[tokio::test]
async fn expunged_for_good_and_uids_do_not_return() {
    let mut rig = Rig::new(3);
    let a = account(1);
    rig.create(a).await;
    for id in 1..=3 {
        rig.shard().deliver(&delivery(id, b"m", &[a])).await;
    }
    let maildrop = open(rig.shard(), a, 1).await.unwrap();
    maildrop.expunge(&[3, 1, 99, 3]).await.unwrap();
    maildrop.expunge(&[3]).await.unwrap();
    drop(maildrop);
    assert_eq!(rig.shard().totals().messages, 1);
    rig.reopen();
    assert_eq!(rig.shard().totals().messages, 1);
    assert_eq!(read_all(rig.shard(), a).await, [(2, as_read(a, b"m"))]);
    // Remembered across the expunge, and across the restart.
    let again = rig.shard().deliver(&delivery(3, b"m", &[a])).await;
    assert_eq!(again, [crate::rig::duplicate(3)]);
    assert_eq!(
        rig.shard().deliver(&delivery(4, b"m", &[a])).await,
        [stored(4)]
    );
}

#[tokio::test]
async fn a_delete_is_durable_before_it_is_said() {
    let mut rig = Rig::new(4);
    let a = account(1);
    rig.create(a).await;
    rig.shard().deliver(&delivery(1, b"m", &[a])).await;
    let maildrop = open(rig.shard(), a, 1).await.unwrap();
    rig.sim.hold_syncs();
    let expunge = maildrop.expunge(&[1]);
    tokio::pin!(expunge);
    let early = timeout(Duration::from_millis(100), &mut expunge).await;
    assert!(early.is_err(), "said before the sync");
    rig.sim.release_syncs();
    timeout(SOON, expunge).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_session_on_a_moved_account_ends_and_deletes_nothing() {
    let mut rig = Rig::new(5);
    let a = account(1);
    rig.create(a).await;
    rig.shard().deliver(&delivery(1, b"m", &[a])).await;
    let maildrop = open(rig.shard(), a, 1).await.unwrap();
    rig.become_(a, Holding::Fenced, 1).await;
    assert!(maildrop.read(0, 0, 10).await.is_ok());
    assert!(maildrop.expunge(&[1]).await.is_err());
    rig.become_(a, Holding::Released, 2).await;
    timeout(SOON, maildrop.ended()).await.unwrap();
    assert_eq!(maildrop.read(0, 0, 10).await, Err(ReadError::Ended));
    assert!(maildrop.expunge(&[1]).await.is_err());
    drop(maildrop);
    let error = open(rig.shard(), a, 1).await.err();
    assert_eq!(error, Some(OpenError::Moved(Epoch(2))));
}

/// The watch may not have told yet that the account was given away.
#[tokio::test]
async fn what_is_fenced_is_read_only_once_the_directory_has_said_again_that_it_is_here() {
    let mut rig = Rig::new(9);
    let a = account(1);
    rig.create(a).await;
    rig.become_(a, Holding::Fenced, 1).await;
    let mut doubts = rig.shard().doubts().unwrap();
    let here = |epoch, place| {
        let epoch = Epoch(epoch);
        Some(Assigned { epoch, place })
    };
    for (word, expected) in [
        (here(1, Place::Active), None),
        (here(2, Place::Elsewhere), Some(OpenError::Moved(Epoch(2)))),
        (here(1, Place::Active), None),
    ] {
        let answer = async {
            let doubt = doubts.recv().await.unwrap();
            assert_eq!(doubt.account, a);
            doubt.answer.send(word).unwrap();
        };
        let (opened, ()) = tokio::join!(open(rig.shard(), a, 1), answer);
        assert_eq!(opened.err(), expected, "{word:?}");
    }
    // No replica can say.
    let unanswered = async { drop(doubts.recv().await) };
    let (opened, ()) = tokio::join!(open(rig.shard(), a, 1), unanswered);
    let unproven = Why::NotYet(NotYet::Unproven);
    assert_eq!(opened.err(), Some(OpenError::NotNow(unproven)));
}

#[tokio::test]
async fn a_removed_accounts_session_ends() {
    let mut rig = Rig::new(6);
    let a = account(1);
    rig.create(a).await;
    let maildrop = open(rig.shard(), a, 1).await.unwrap();
    rig.assign(a, 2, Place::Removed);
    timeout(SOON, maildrop.ended()).await.unwrap();
}

#[tokio::test]
async fn superseded_answers_nothing_more() {
    let mut rig = Rig::new(7);
    let a = account(1);
    rig.create(a).await;
    rig.shard().deliver(&delivery(1, b"m", &[a])).await;
    let maildrop = open(rig.shard(), a, 1).await.unwrap();
    rig.clock.fetch_add(60, Ordering::SeqCst);
    let lease = rig.shard().lease().clone();
    lease.superseded(Incarnation(9));
    assert_eq!(maildrop.read(0, 0, 10).await, Err(ReadError::Ended));
    assert_eq!(maildrop.ensure_current().await, Err(ReadError::Ended));
    assert!(maildrop.expunge(&[1]).await.is_err());
}

#[tokio::test]
async fn nobody_answers_about_the_lease_reads_go_on() {
    let mut rig = Rig::new(8);
    let a = account(1);
    rig.create(a).await;
    rig.shard().deliver(&delivery(1, b"m", &[a])).await;
    let maildrop = open(rig.shard(), a, 1).await.unwrap();
    rig.clock.fetch_add(60, Ordering::SeqCst);
    assert!(maildrop.read(0, 0, 10).await.is_ok());
    assert!(maildrop.expunge(&[1]).await.is_err());
}
