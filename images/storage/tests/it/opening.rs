//! How the opening of a volume goes is told, and no opening waits for whoever hears of it.

use std::sync::atomic::Ordering;

use wire::ids::AccountId;
use wire::rpc::deliver_outcome::Outcome;
use wire::rpc::opening::How;

use crate::net::{Cluster, Running, until};
use crate::rig::account;
use crate::serving::{create, deliver};

async fn serves(cluster: &Cluster, shard: &Running, id: AccountId) {
    create(cluster, shard, id).await;
    let outcome = deliver(cluster, shard, id, 1, 1).await.unwrap();
    assert!(matches!(outcome, Outcome::Stored(_)), "{outcome:?}");
}

#[tokio::test]
async fn a_directory_that_does_not_answer_delays_no_opening() {
    let cluster = Cluster::new().await;
    cluster.script.deaf.store(true, Ordering::SeqCst);
    let shard = cluster.start("shard-1").await;
    serves(&cluster, &shard, account(1)).await;
    assert_eq!(cluster.openings(), []);
    shard.stop().await;
}

#[tokio::test]
async fn the_first_word_is_told_at_once() {
    let cluster = Cluster::new().await;
    // It gets no lease, so that nothing but the opening has been told.
    cluster.script.silent.store(true, Ordering::SeqCst);
    let shard = cluster.start("shard-1").await;
    until("an opening is told", || !cluster.openings().is_empty()).await;
    assert!(matches!(cluster.openings()[0].how, Some(How::Opens(_))));
    cluster.script.silent.store(false, Ordering::SeqCst);
    serves(&cluster, &shard, account(1)).await;
    shard.stop().await;
}
