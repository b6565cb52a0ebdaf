//! An abort asked for before the switch leaves the account where it was, whatever had begun.

use tonic::Code;
use wire::rpc::{Move, MovePhase};

use super::driver::BEFORE_SWITCH;
use super::gate::{Gate, Hold};
use super::stage::{FIRST, SHARDS, Stage};
use super::subject::Subject;

/// A move that was held after so many effects, and is Aborted, with nobody who drives it.
async fn aborted_after(subject: &Subject<'_>, effects: usize) -> Move {
    let started = subject.start_and_kill(effects).await;
    let aborted = subject.abort().await.unwrap();
    assert_eq!(aborted.phase(), MovePhase::Aborted);
    started
}

#[tokio::test]
async fn at_every_step_before_the_switch() {
    let stage = Stage::start().await;
    for effects in 0..=BEFORE_SWITCH {
        let subject = stage.account(&format!("a{effects}")).await;
        let mail = subject.mail().await;
        let started = aborted_after(&subject, effects).await;
        let _driver = stage.drive().await;
        subject.ends_as(&started, MovePhase::Aborted).await;
        subject.is_whole(&mail, SHARDS[0], FIRST + 1).await;
        // It may be moved again.
        let again = subject.start(SHARDS[1]).await;
        subject.ends_as(&again, MovePhase::Done).await;
    }
    stage.stop().await;
}

#[tokio::test]
async fn from_under_a_driver_that_works() {
    let stage = Stage::start().await;
    let subject = stage.account("ana").await;
    let mail = subject.mail().await;
    let started = subject.start(SHARDS[1]).await;
    let gate = Gate::new(Hold::Before(9));
    let _driver = stage.drive_through(&gate).await;
    gate.reached().await;
    subject.abort().await.unwrap();
    gate.open();
    subject.ends_as(&started, MovePhase::Aborted).await;
    subject.is_whole(&mail, SHARDS[0], FIRST + 1).await;
    stage.stop().await;
}

#[tokio::test]
async fn after_the_switch_it_is_refused() {
    let stage = Stage::start().await;
    let subject = stage.account("ana").await;
    let mail = subject.mail().await;
    let started = subject.start_and_kill(BEFORE_SWITCH + 1).await;
    let refused = subject.abort().await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    let _driver = stage.drive().await;
    subject.ends_as(&started, MovePhase::Done).await;
    subject.is_whole(&mail, SHARDS[1], FIRST + 1).await;
    stage.stop().await;
}
