//! Many moves at once: each shard's disk has few copies at a time, and no time is lost between them.

use palomar_directory::moves::MovesConfig;
use wire::rpc::MovePhase;

use super::gate::{Gate, Hold};
use super::stage::{FIRST, SHARDS, Stage};

const MOVES: usize = 50;

#[tokio::test]
async fn fifty_at_once() {
    let stage = Stage::start().await;
    let mut moves = Vec::new();
    for number in 0..MOVES {
        let subject = stage.account(&format!("a{number}")).await;
        let started = subject.start(SHARDS[1]).await;
        moves.push((subject, started));
    }
    let gate = Gate::new(Hold::Nowhere);
    let _driver = stage.drive_through(&gate).await;
    for (subject, started) in &moves {
        let over = subject.over(started).await.unwrap();
        assert_eq!(over.phase(), MovePhase::Done, "{over:?}");
    }
    assert_eq!(gate.most_copies(), MovesConfig::PER_SHARD);
    for (subject, _) in &moves {
        let route = subject.route().await;
        assert_eq!((route.shard.as_str(), route.epoch), (SHARDS[1], FIRST + 1));
    }
    stage.stop().await;
}
