//! Whoever drives a move may die at any line, and another goes on.

use wire::rpc::MovePhase;

use super::driver::EFFECTS;
use super::gate::{Gate, Hold};
use super::stage::{FIRST, SHARDS, Stage};

#[tokio::test]
async fn what_a_driver_does() {
    let stage = Stage::start().await;
    let subject = stage.account("ana").await;
    let mail = subject.mail().await;
    let started = subject.start(SHARDS[1]).await;
    let gate = Gate::new(Hold::Nowhere);
    let _driver = stage.drive_through(&gate).await;
    subject.ends_as(&started, MovePhase::Done).await;
    assert_eq!(gate.names(), EFFECTS);
    subject.is_whole(&mail, SHARDS[1], FIRST + 1).await;
    stage.stop().await;
}

#[tokio::test]
async fn what_it_does_while_digests_are_pending() {
    let stage = Stage::start().await;
    let subject = stage.account("ana").await;
    let mail = subject.mail().await;
    let started = subject.start(SHARDS[1]).await;
    let gate = Gate::pending([(SHARDS[0], 2), (SHARDS[1], 1)]);
    let _driver = stage.drive_through(&gate).await;
    subject.ends_as(&started, MovePhase::Done).await;
    // It asks again, and does nothing else again.
    let (at_source, at_target) = (EFFECTS[8], EFFECTS[9]);
    let digests = [at_source, at_source, at_source, at_target, at_target];
    let expected = [&EFFECTS[..8], &digests, &EFFECTS[10..]].concat();
    assert_eq!(gate.names(), expected);
    subject.is_whole(&mail, SHARDS[1], FIRST + 1).await;
    stage.stop().await;
}

#[tokio::test]
async fn a_driver_that_is_killed_after_any_step() {
    let stage = Stage::start().await;
    for (number, effect) in (1..).zip(EFFECTS) {
        let subject = stage.account(&format!("a{number}")).await;
        let mail = subject.mail().await;
        let started = subject.start(SHARDS[1]).await;
        let done = stage.drive_and_kill(number).await;
        assert_eq!(done.last().unwrap(), effect);
        let _driver = stage.drive().await;
        subject.ends_as(&started, MovePhase::Done).await;
        subject.is_whole(&mail, SHARDS[1], FIRST + 1).await;
    }
    stage.stop().await;
}

/// A driver that was frozen before a step goes on with it when the move is over long since.
#[tokio::test]
async fn a_driver_that_is_late_does_no_harm() {
    let stage = Stage::start().await;
    for number in 1..=EFFECTS.len() {
        let subject = stage.account(&format!("a{number}")).await;
        let mail = subject.mail().await;
        let started = subject.start(SHARDS[1]).await;
        let gate = Gate::new(Hold::Before(number));
        let late = stage.drive_through(&gate).await;
        gate.reached().await;
        let driver = stage.drive().await;
        subject.ends_as(&started, MovePhase::Done).await;
        gate.open();
        subject.is_whole(&mail, SHARDS[1], FIRST + 1).await;
        drop((late, driver));
        // What came late may be under way until now.
        subject.ends_as(&started, MovePhase::Done).await;
    }
    stage.stop().await;
}
