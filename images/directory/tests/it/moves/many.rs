//! Many moves at once: each shard's disk has few copies at a time, and no time is lost between them.

use buzonera_directory::moves::PER_SHARD;
use wire::rpc::{Move, MovePhase};

use super::gate::{Gate, Hold};
use super::stage::{FIRST, MESSAGES, SHARDS, Stage};
use super::subject::Subject;
use crate::world::until;

const MOVES: usize = 50;

/// Was added, and has never run.
const DEAD: &str = "shard-3";

/// Fewer than the moves that wait.
const IN_HAND: usize = 2;

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
        subject.ends_as(started, MovePhase::Done).await;
    }
    assert_eq!(gate.most_copies(), PER_SHARD as usize);
    for (subject, _) in &moves {
        let route = subject.route().await;
        assert_eq!((route.shard.as_str(), route.epoch), (SHARDS[1], FIRST + 1));
    }
    stage.stop().await;
}

async fn waits_for_a_lease(subject: &Subject<'_>, started: &Move) {
    until("a move waits for its shard", || async {
        let now = subject.moving(started).await.unwrap();
        assert_eq!(now.phase(), MovePhase::Planned);
        (now.reason == format!("{DEAD} holds no lease")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn those_to_a_dead_shard_keep_no_other_back() {
    let stage = Stage::start().await;
    stage.add_shard(DEAD).await;
    let mut waiting = Vec::new();
    for number in 0..3 * IN_HAND {
        let subject = stage.account(&format!("a{number}")).await;
        let started = subject.start(DEAD).await;
        waiting.push((subject, started));
    }
    let gate = Gate::new(Hold::Nowhere);
    let _driver = stage.drive_few(&gate, IN_HAND).await;
    for (subject, started) in &waiting {
        waits_for_a_lease(subject, started).await;
    }
    let subject = stage.account("ana").await;
    let mail = subject.mail().await;
    let started = subject.start(SHARDS[1]).await;
    subject.ends_as(&started, MovePhase::Done).await;
    subject.is_whole(&mail, SHARDS[1], FIRST + 1).await;
    // Nor is an abort kept waiting: its account takes mail at the next epoch.
    let (subject, started) = &waiting[0];
    subject.abort().await.unwrap();
    subject.deliver(MESSAGES + 1).await;
    assert_eq!(subject.route().await.epoch, FIRST + 1);
    // Their target was told nothing, so that there is nothing to wait for.
    subject.ends_as(started, MovePhase::Aborted).await;
    stage.stop().await;
}

/// Their source has never told where it listens.
#[tokio::test]
async fn those_from_a_dead_shard_give_their_places_back() {
    let stage = Stage::start().await;
    stage.add_shard(DEAD).await;
    let mut waiting = Vec::new();
    for number in 0..PER_SHARD {
        let subject = stage.account(&format!("a{number}")).await;
        subject.say_it_is_at(DEAD).await;
        let started = subject.start(SHARDS[1]).await;
        waiting.push((subject, started));
    }
    let _driver = stage.drive().await;
    for (subject, started) in &waiting {
        waits_for_a_lease(subject, started).await;
    }
    let subject = stage.account("ana").await;
    let started = subject.start(SHARDS[1]).await;
    subject.ends_as(&started, MovePhase::Done).await;
    stage.stop().await;
}
