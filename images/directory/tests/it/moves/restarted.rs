//! A shard that dies with the driver, at every step, and starts again.

use wire::rpc::MovePhase;

use super::driver::EFFECTS;
use super::stage::{FIRST, SHARDS, Stage};

async fn at_any_step(shard: &'static str) {
    let stage = Stage::start().await;
    for effects in 1..=EFFECTS.len() {
        let subject = stage.account(&format!("a{effects}")).await;
        let mail = subject.mail().await;
        let started = subject.start_and_kill(effects).await;
        stage.stop_shard(shard).await;
        let _driver = stage.drive().await;
        stage.start_shard(shard).await;
        // Also a driver that found nobody goes to where the shard is now.
        let _driver = stage.drive().await;
        subject.ends_as(&started, MovePhase::Done).await;
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
