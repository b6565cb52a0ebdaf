//! Copies that last longer than a move may stand still: each breaks off and begins from nothing.

use std::time::Duration;

use wire::rpc::{Move, MovePhase};

use super::gate::Gate;
use super::stage::{FIRST, SHARDS, Stage};
use super::subject::Subject;

/// Longer than `MovesConfig::STALL_LIMIT`.
const LONG: Duration = Duration::from_secs(600);

/// Moves the account to the other shard: how that ends when so many copies break off, each after a
/// long time.
async fn broken_off(stage: &Stage, subject: &Subject<'_>, copies: u32, end: MovePhase) -> Move {
    let started = subject.start(SHARDS[1]).await;
    let gate = Gate::breaking_off(copies, LONG);
    let _driver = stage.drive_through(&gate).await;
    subject.ends_as(&started, end).await
}

#[tokio::test]
async fn a_few_are_tried_again() {
    let stage = Stage::start().await;
    let subject = stage.account("ana").await;
    let mail = subject.mail().await;
    broken_off(&stage, &subject, 4, MovePhase::Done).await;
    subject.is_whole(&mail, SHARDS[1], FIRST + 1).await;
    stage.stop().await;
}

#[tokio::test]
async fn the_fifth_is_the_last() {
    let stage = Stage::start().await;
    let subject = stage.account("ana").await;
    let mail = subject.mail().await;
    let over = broken_off(&stage, &subject, 5, MovePhase::Aborted).await;
    let why = "the copy broke off 5 times: ";
    assert!(over.reason.starts_with(why), "{over:?}");
    subject.is_whole(&mail, SHARDS[0], FIRST + 1).await;
    stage.stop().await;
}
