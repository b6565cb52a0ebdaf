//! What moves may cost is set while they are driven.

use wire::rpc::{MoveLimits, MovePhase, SetMoveLimitsRequest};

use super::gate::{Gate, Hold};
use super::stage::{SHARDS, Stage};
use crate::world::{id, until};

const MOVES: usize = 6;

async fn set(stage: &Stage, limits: MoveLimits) -> MoveLimits {
    let request = SetMoveLimitsRequest {
        request_id: id(),
        limits: Some(limits),
    };
    let set = stage.world.admin().set_move_limits(request).await;
    set.unwrap().into_inner()
}

#[tokio::test]
async fn paused_and_resumed_one_at_a_time() {
    let stage = Stage::start().await;
    let one = MoveLimits {
        max_open: 1,
        ..MoveLimits::default()
    };
    let paused = MoveLimits {
        paused: true,
        ..one
    };
    assert!(set(&stage, paused).await.paused);
    let mut moves = Vec::new();
    for number in 0..MOVES {
        let subject = stage.account(&format!("a{number}")).await;
        let started = subject.start(SHARDS[1]).await;
        moves.push((subject, started));
    }
    let gate = Gate::new(Hold::Nowhere);
    let _driver = stage.drive_through(&gate).await;
    for (subject, started) in &moves {
        until("a move waits", || async {
            let now = subject.moving(started).await.unwrap();
            assert_eq!(now.phase(), MovePhase::Planned);
            (now.reason == "moves are paused").then_some(())
        })
        .await;
    }
    set(&stage, one).await;
    for (subject, started) in &moves {
        subject.ends_as(started, MovePhase::Done).await;
    }
    assert_eq!(gate.most_copies(), 1);
    stage.stop().await;
}
