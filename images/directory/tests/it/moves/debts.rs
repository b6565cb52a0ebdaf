//! A decided move is over: a shard that is away keeps nobody waiting, and does what it owes when it
//! is back.

use tonic::Code;
use wire::rpc::{MovePhase, ShardState};

use super::driver::BEFORE_SWITCH;
use super::stage::{FIRST, MESSAGES, SHARDS, Stage};

const SOURCE: &str = SHARDS[0];

const TARGET: &str = SHARDS[1];

/// A third one.
const OTHER: &str = "shard-3";

/// Up to the effect "prepare at shard-2".
const PREPARED: usize = 2;

async fn three() -> Stage {
    let stage = Stage::start().await;
    stage.add_shard(OTHER).await;
    stage.start_shard(OTHER).await;
    stage.is_live(OTHER).await;
    stage
}

#[tokio::test]
async fn a_target_that_dies_keeps_neither_account_nor_source() {
    let stage = three().await;
    let subject = stage.account("ana").await;
    let mail = subject.mail().await;
    let first = subject.start_and_kill(PREPARED).await;
    stage.stop_shard(TARGET).await;
    subject.abort().await.unwrap();
    subject.ends_as(&first, MovePhase::Aborted).await;
    let _driver = stage.drive().await;
    let second = subject.start(OTHER).await;
    subject.ends_as(&second, MovePhase::Done).await;
    assert_eq!(subject.mail().await, mail);
    // The dead shard has still to drop what it has, which is its own business.
    assert_eq!(stage.shown(TARGET).await.debts, 1);
    stage.set_state(SOURCE, ShardState::Draining).await.unwrap();
    until_retired(&stage, SOURCE).await;
    // Its debt is paid before it has anything of the account again.
    let third = subject.start(TARGET).await;
    stage.start_shard(TARGET).await;
    let _driver = stage.drive().await;
    subject.ends_as(&third, MovePhase::Done).await;
    subject.is_whole(&mail, TARGET, FIRST + 3).await;
    stage.stop().await;
}

#[tokio::test]
async fn a_source_that_dies_after_the_decision_keeps_nobody() {
    let stage = three().await;
    let subject = stage.account("ana").await;
    let mail = subject.mail().await;
    let first = subject.start_and_kill(BEFORE_SWITCH).await;
    stage.stop_shard(SOURCE).await;
    let driver = stage.drive().await;
    subject.ends_as(&first, MovePhase::Done).await;
    let second = subject.start(OTHER).await;
    subject.ends_as(&second, MovePhase::Done).await;
    drop(driver);
    stage.set_state(TARGET, ShardState::Draining).await.unwrap();
    until_retired(&stage, TARGET).await;
    let draining = stage.set_state(SOURCE, ShardState::Draining).await;
    assert_eq!(draining.unwrap().debts, 1);
    let refused = stage
        .set_state(SOURCE, ShardState::Retired)
        .await
        .unwrap_err();
    assert!(refused.message().contains("to drop"), "{refused}");
    stage.start_shard(SOURCE).await;
    subject.is_whole(&mail, OTHER, FIRST + 2).await;
    until_retired(&stage, SOURCE).await;
    stage.stop().await;
}

/// Late on its way, an import empties what was verified; the source has kept all of it.
#[tokio::test]
async fn an_account_that_its_target_loses_comes_back() {
    let stage = Stage::start().await;
    let subject = stage.account("ana").await;
    let mail = subject.mail().await;
    let started = subject.start_and_kill(BEFORE_SWITCH).await;
    subject.lose_the_copy(&started).await;
    let _driver = stage.drive().await;
    subject.comes_back(SOURCE, FIRST + 2).await;
    subject.ends_as(&started, MovePhase::Aborted).await;
    subject.is_whole(&mail, SOURCE, FIRST + 2).await;
    let again = subject.start(TARGET).await;
    let _driver = stage.drive().await;
    subject.ends_as(&again, MovePhase::Done).await;
    subject.deliver(MESSAGES + 2).await;
    stage.stop().await;
}

/// Its volume is gone before it could say that it has the account: an empty one must not make the
/// source drop the only copy.
#[tokio::test]
async fn an_account_whose_new_volume_is_replaced_goes_back() {
    let stage = Stage::start().await;
    let subject = stage.account("ana").await;
    let before = subject.mail().await;
    let started = subject.start_and_kill(BEFORE_SWITCH).await;
    stage.stop_shard(TARGET).await;
    let driver = stage.drive().await;
    subject.ends_as(&started, MovePhase::Done).await;
    drop(driver);
    stage.replace_volume(TARGET).await;
    subject.comes_back(SOURCE, FIRST + 2).await;
    subject.ends_as(&started, MovePhase::Aborted).await;
    stage.start_shard(TARGET).await;
    stage.is_live(TARGET).await;
    subject.nothing_is_owed().await;
    // It is another volume's mailbox to clients: the lost one may have given UIDs.
    let after = subject.mail().await;
    let texts = |mail: &[(String, String)]| -> Vec<_> {
        mail.iter().map(|(_, text)| text.clone()).collect()
    };
    assert_eq!(texts(&after), texts(&before));
    let same = |(id, _): &(String, String)| before.iter().any(|(old, _)| old == id);
    assert!(!after.iter().any(same), "{before:?} {after:?}");
    let _driver = stage.drive().await;
    let again = subject.start(TARGET).await;
    subject.ends_as(&again, MovePhase::Done).await;
    subject.is_whole(&after, TARGET, FIRST + 3).await;
    stage.stop().await;
}

#[tokio::test]
async fn a_lost_shard_keeps_nobody_and_never_comes_back() {
    let stage = three().await;
    let mut subjects = Vec::new();
    for name in ["ana", "bo"] {
        let subject = stage.account(name).await;
        let started = subject.start_and_kill(PREPARED).await;
        subjects.push((subject, started));
    }
    let [(ana, first), (bo, second)] = &subjects[..] else {
        panic!("there are two");
    };
    ana.abort().await.unwrap();
    ana.ends_as(first, MovePhase::Aborted).await;
    let live = stage.set_state(TARGET, ShardState::Lost).await.unwrap_err();
    assert_eq!(live.code(), Code::FailedPrecondition, "{live}");
    stage.lose_shard(TARGET).await;
    // What was under way to it ends by itself.
    let _driver = stage.drive().await;
    bo.ends_as(second, MovePhase::Aborted).await;
    for subject in [ana, bo] {
        let away = subject.start(OTHER).await;
        subject.ends_as(&away, MovePhase::Done).await;
    }
    stage.set_state(SOURCE, ShardState::Draining).await.unwrap();
    until_retired(&stage, SOURCE).await;
    // Its accounts are not told anywhere, and it gets no lease any more.
    stage.lose_shard(OTHER).await;
    assert_eq!(ana.resolved().await, "lost");
    stage.is_refused(OTHER).await;
    stage.stop().await;
}

async fn until_retired(stage: &Stage, shard: &str) {
    crate::world::until("a shard retires", || async {
        stage.set_state(shard, ShardState::Retired).await.ok()
    })
    .await;
}
