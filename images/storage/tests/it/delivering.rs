//! Stored once, durable before it is said, refused for good only where no retry can help.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use buzonera_storage::account::access::{NotYet, Place};
use buzonera_storage::metrics::OutcomeLabel;
use buzonera_storage::records::proto::Holding;
use buzonera_storage::shard::deliver::Outcome;
use buzonera_storage::shard::{Ending, Passes, Unready, Why};
use segments::LogError;
use tokio::time::timeout;
use wire::ids::Epoch;

use crate::rig::{Rig, SOON, account, as_read, delivery, duplicate, open, read_all, stored};

#[tokio::test]
async fn one_body_for_several_accounts() {
    let mut rig = Rig::new(1);
    let (a, b) = (account(1), account(2));
    rig.create(a).await;
    rig.create(b).await;
    let body = vec![b'x'; 300_000];
    let before = rig.shard().log().stats();
    let outcomes = rig.shard().deliver(&delivery(1, &body, &[b, a])).await;
    assert_eq!(outcomes, [stored(1), stored(1)]);
    let after = rig.shard().log().stats();
    assert_eq!(after.records - before.records, 1);
    assert!(after.bytes - before.bytes < 301_000);
    for id in [a, b] {
        assert_eq!(read_all(rig.shard(), id).await, [(1, as_read(id, &body))]);
    }
    rig.reopen();
    for id in [a, b] {
        assert_eq!(read_all(rig.shard(), id).await, [(1, as_read(id, &body))]);
    }
}

#[tokio::test]
async fn a_retry_makes_no_second_copy() {
    let mut rig = Rig::new(2);
    let (a, b) = (account(1), account(2));
    rig.create(a).await;
    rig.create(b).await;
    assert_eq!(
        rig.shard().deliver(&delivery(1, b"m", &[a])).await,
        [stored(1)]
    );
    let both = delivery(1, b"m", &[a, b]);
    assert_eq!(rig.shard().deliver(&both).await, [duplicate(1), stored(1)]);
    rig.reopen();
    assert_eq!(
        rig.shard().deliver(&both).await,
        [duplicate(1), duplicate(1)]
    );
    assert_eq!(read_all(rig.shard(), a).await.len(), 1);
}

/// To try it again is of no use, and it is in nobody's way.
#[tokio::test]
async fn what_no_record_takes_is_refused_for_good() {
    let mut rig = Rig::new(4);
    let a = account(1);
    rig.create(a).await;
    let body = vec![b'x'; 80 << 20];
    let outcomes = rig.shard().deliver(&delivery(1, &body, &[a])).await;
    let [Outcome::Unready(Unready::Retry(why @ Why::TooLarge(_)))] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert_eq!(why.passes(), Passes::Never);
    let label = OutcomeLabel {
        outcome: "never",
        reason: "too_large",
    };
    assert_eq!(outcomes[0].label(), label);
    let next = rig.shard().deliver(&delivery(2, b"two", &[a])).await;
    assert_eq!(next, [stored(1)]);
}

#[tokio::test]
async fn nothing_is_said_or_shown_before_the_sync() {
    let mut rig = Rig::new(3);
    let a = account(1);
    rig.create(a).await;
    rig.sim.hold_syncs();
    let first = tokio::spawn(deliver(&rig, 1));
    let sim = rig.sim.clone();
    tokio::task::spawn_blocking(move || sim.wait_for_held_sync())
        .await
        .unwrap();
    let twin = tokio::spawn(deliver(&rig, 1));
    let other = tokio::spawn(deliver(&rig, 2));
    tokio::task::yield_now().await;
    assert!(read_index(&rig).is_empty());
    assert!(!first.is_finished() && !twin.is_finished() && !other.is_finished());
    rig.sim.release_syncs();
    let all = async {
        (
            first.await.unwrap(),
            twin.await.unwrap(),
            other.await.unwrap(),
        )
    };
    let (first, twin, other) = timeout(SOON, all).await.unwrap();
    assert_eq!(first, [stored(1)]);
    assert_eq!(twin, [duplicate(1)]);
    assert_eq!(other, [stored(2)]);
}

#[tokio::test]
async fn a_failed_sync_ends_the_shard() {
    let mut rig = Rig::new(4);
    let a = account(1);
    rig.create(a).await;
    rig.sim.fail_next_sync(segments::sim::Fault::Broken);
    let outcomes = rig.shard().deliver(&delivery(1, b"m", &[a])).await;
    assert_eq!(outcomes, [retry(Why::Ended)]);
    let ending = timeout(SOON, rig.shard().failed()).await.unwrap();
    assert!(
        matches!(ending, Ending::Heap(LogError::Failed { .. })),
        "{ending}"
    );
    rig.power_cut();
    rig.open();
    let again = rig.shard().deliver(&delivery(1, b"m", &[a])).await;
    assert!(again == [stored(1)] || again == [duplicate(1)], "{again:?}");
}

/// Panics in the thread that says that a change is done.
struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        if std::thread::current().name() == Some("applier") {
            panic!("this is the test's");
        }
    }
}

#[tokio::test]
async fn a_panic_of_the_applier_ends_the_shard() {
    let mut rig = Rig::new(9);
    let a = account(1);
    rig.create(a).await;
    let maildrop = open(rig.shard(), a, 1).await.unwrap();
    rig.sim.hold_syncs();
    let mut first = Box::pin(deliver(&rig, 1));
    let waker = Waker::from(Arc::new(Bomb));
    assert!(
        first
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    rig.sim.release_syncs();
    let ending = timeout(SOON, rig.shard().failed()).await.unwrap();
    assert!(matches!(ending, Ending::Panicked), "{ending}");
    timeout(SOON, maildrop.ended()).await.unwrap();
    let outcomes = deliver(&rig, 2).await;
    assert_eq!(outcomes, [retry(Why::Ended)]);
    // This one was indexed before the panic, and is durable.
    assert_eq!(deliver(&rig, 1).await, [duplicate(1)]);
}

#[tokio::test]
async fn mixed_outcomes() {
    let mut rig = Rig::new(5);
    let ids = [1, 2, 3, 4].map(account);
    let [here, fenced, gone, _unknown] = ids;
    for id in [here, fenced, gone] {
        rig.create(id).await;
    }
    rig.become_(fenced, Holding::Fenced, 1).await;
    rig.become_(gone, Holding::Released, 2).await;
    let outcomes = rig.shard().deliver(&delivery(1, b"m", &ids)).await;
    let [first, second, third, fourth] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert_eq!(*first, stored(1));
    assert_eq!(*second, retry(Why::NotYet(NotYet::Moving)));
    assert_eq!(*third, Outcome::Unready(Unready::Moved(Epoch(2))));
    assert_eq!(*fourth, Outcome::Unready(Unready::Moved(Epoch(0))));
}

#[tokio::test]
async fn what_waits_for_a_fence_goes_on_when_it_ends() {
    let mut rig = Rig::new(6);
    let a = account(1);
    rig.create(a).await;
    rig.become_(a, Holding::Fenced, 1).await;
    let mut waiting = delivery(1, b"m", &[a]);
    waiting.targets[0].epoch = Epoch(2);
    let shard = rig.shard().clone();
    let waiting = tokio::spawn(async move { shard.deliver(&waiting).await });
    tokio::task::yield_now().await;
    // The move is aborted.
    rig.become_(a, Holding::Owner, 2).await;
    rig.assign(a, 2, Place::Active);
    assert_eq!(waiting.await.unwrap(), [stored(1)]);
}

#[tokio::test]
async fn a_missing_account_is_a_fault_not_an_empty_one() {
    let mut rig = Rig::new(7);
    let a = account(1);
    rig.assign(a, 1, Place::Active);
    let outcomes = rig.shard().deliver(&delivery(1, b"m", &[a])).await;
    assert_eq!(outcomes, [retry(Why::Missing)]);
    assert!(crate::rig::open(rig.shard(), a, 1).await.is_err());
    assert_eq!(rig.shard().metrics().missing_accounts.get(), 2);
}

#[tokio::test]
async fn a_volume_that_is_nearly_full_says_so_and_is_counted_so() {
    let mut rig = Rig::new(10);
    let a = account(1);
    rig.create(a).await;
    rig.shard().set_nearly_full(true);
    let outcomes = rig.shard().deliver(&delivery(1, b"m", &[a])).await;
    assert_eq!(outcomes, [retry(Why::NearlyFull)]);
    let label = OutcomeLabel {
        outcome: "retry",
        reason: "nearly_full",
    };
    let deliveries = &rig.shard().metrics().deliveries;
    assert_eq!(deliveries.get_or_create(&label).get(), 1);
    rig.shard().set_nearly_full(false);
    let outcomes = rig.shard().deliver(&delivery(1, b"m", &[a])).await;
    assert_eq!(outcomes, [stored(1)]);
}

#[tokio::test]
async fn nothing_is_acknowledged_without_the_lease() {
    let mut rig = Rig::new(8);
    let a = account(1);
    rig.create(a).await;
    rig.clock.fetch_add(21, std::sync::atomic::Ordering::SeqCst);
    let outcomes = rig.shard().deliver(&delivery(1, b"m", &[a])).await;
    assert_eq!(outcomes, [retry(Why::Lease)]);
}

fn retry(why: Why) -> Outcome {
    Outcome::Unready(Unready::Retry(why))
}

fn deliver(rig: &Rig, id: u64) -> impl Future<Output = Vec<Outcome>> + use<> {
    let shard = rig.shard().clone();
    async move { shard.deliver(&delivery(id, b"m", &[account(1)])).await }
}

fn read_index(rig: &Rig) -> Vec<u32> {
    let rows = rig.shard().index().messages(account(1), 0, 0);
    rows.map(|row| row.unwrap().0).collect()
}
