//! An account that is removed while it is being moved: the move ends all the same, and what is
//! restored is whole.

use wire::rpc::{AccountState, MovePhase};

use super::driver::{BEFORE_SWITCH, EFFECTS};
use super::stage::{FIRST, SHARDS, Stage};
use crate::world::until;

#[tokio::test]
async fn removed_after_any_step_and_restored() {
    let stage = Stage::start().await;
    for effects in 0..=EFFECTS.len() {
        let subject = stage.account(&format!("a{effects}")).await;
        let mail = subject.mail().await;
        let started = subject.start_and_kill(effects).await;
        subject.remove(false).await;
        let _driver = stage.drive().await;
        let switched = effects > BEFORE_SWITCH;
        let (phase, shard, epoch) = match switched {
            true => (MovePhase::Done, SHARDS[1], FIRST + 2),
            false => (MovePhase::Aborted, SHARDS[0], FIRST + 1),
        };
        subject.ends_as(&started, phase).await;
        until("the shard confirms the removal", || async {
            let shown = subject.shown().await.unwrap();
            assert_eq!(shown.state(), AccountState::Removed);
            (!shown.pending).then_some(())
        })
        .await;
        subject.restore().await;
        subject.is_whole(&mail, shard, epoch + 1).await;
    }
    stage.stop().await;
}

#[tokio::test]
async fn restored_before_the_move_goes_on() {
    let stage = Stage::start().await;
    for effects in 0..=EFFECTS.len() {
        let subject = stage.account(&format!("a{effects}")).await;
        let mail = subject.mail().await;
        let started = subject.start_and_kill(effects).await;
        subject.remove(false).await;
        subject.restore().await;
        let _driver = stage.drive().await;
        let (phase, shard, epoch) = match effects > BEFORE_SWITCH {
            true => (MovePhase::Done, SHARDS[1], FIRST + 3),
            false => (MovePhase::Aborted, SHARDS[0], FIRST + 2),
        };
        subject.ends_as(&started, phase).await;
        subject.is_whole(&mail, shard, epoch).await;
    }
    stage.stop().await;
}

/// The source was away, and hears of the switch and of the removal at once.
#[tokio::test]
async fn a_source_that_hears_of_the_removal_first() {
    let stage = Stage::start().await;
    let subject = stage.account("ana").await;
    let mail = subject.mail().await;
    let started = subject.start_and_kill(BEFORE_SWITCH).await;
    stage.stop_shard(SHARDS[0]).await;
    let done = stage.drive_and_kill(1).await;
    assert_eq!(done, ["write done"]);
    subject.remove(false).await;
    stage.start_shard(SHARDS[0]).await;
    let _driver = stage.drive().await;
    subject.ends_as(&started, MovePhase::Done).await;
    subject.restore().await;
    subject.is_whole(&mail, SHARDS[1], FIRST + 3).await;
    stage.stop().await;
}

#[tokio::test]
async fn purged_after_any_step() {
    let stage = Stage::start().await;
    for effects in 0..=EFFECTS.len() {
        let subject = stage.account(&format!("a{effects}")).await;
        let started = subject.start_and_kill(effects).await;
        subject.remove(true).await;
        let driver = stage.drive().await;
        subject.over(&started).await;
        until("the account is gone", || async {
            subject.shown().await.is_none().then_some(())
        })
        .await;
        subject.nothing_is_owed().await;
        for shard in SHARDS {
            assert!(!subject.is_at(shard).await, "{effects}: {shard} has it");
        }
        drop(driver);
    }
    stage.stop().await;
}
