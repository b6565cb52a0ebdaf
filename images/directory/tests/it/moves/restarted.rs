//! A shard that dies with the driver, at every step, and starts again.

use wire::rpc::MovePhase;

use super::gate::{Gate, Hold};
use super::stage::{FIRST, SHARDS, Stage};

/// Effects of a whole move (see `killed`).
const EFFECTS: usize = 18;

async fn at_any_step(shard: &'static str) {
    let stage = Stage::start().await;
    for effects in 1..=EFFECTS {
        let subject = stage.account(&format!("a{effects}")).await;
        let mail = subject.mail().await;
        let started = subject.start(SHARDS[1]).await;
        let gate = Gate::new(Hold::After(effects));
        let killed = stage.drive_through(&gate).await;
        gate.reached().await;
        drop(killed);
        stage.stop_shard(shard).await;
        let _driver = stage.drive().await;
        stage.start_shard(shard);
        // Also a driver that found nobody goes to where the shard is now.
        let _driver = stage.drive().await;
        let over = subject.over(&started).await.unwrap();
        assert_eq!(over.phase(), MovePhase::Done, "{effects}: {over:?}");
        subject.is_whole(&mail, SHARDS[1], FIRST + 1).await;
    }
    stage.stop().await;
}

#[tokio::test]
async fn the_source() {
    at_any_step(SHARDS[0]).await;
}

#[tokio::test]
async fn the_target() {
    at_any_step(SHARDS[1]).await;
}
