//! A drain ends: whatever is on a shard moves away, many at a time, and then it retires.

use bytes::Bytes;
use tonic::Code;
use wire::ids::AccountId;
use wire::rpc::move_result::Outcome;
use wire::rpc::{
    AbortMovesRequest, AccountState, ListShardAccountsRequest, MovePhase, MoveRow, ShardAccount,
    ShardState, StartMovesRequest,
};

use super::stage::{FIRST, SHARDS, Stage};
use crate::world::{id, until};

const SOURCE: &str = SHARDS[0];

const TARGET: &str = SHARDS[1];

async fn on(stage: &Stage, shard: &str, states: &[AccountState]) -> Vec<ShardAccount> {
    let mut all: Vec<ShardAccount> = Vec::new();
    loop {
        let request = ListShardAccountsRequest {
            shard: shard.to_owned(),
            states: states.iter().map(|state| (*state).into()).collect(),
            after: all
                .last()
                .map(|last| last.account.clone())
                .unwrap_or_default(),
            limit: 2,
            accounts: Vec::new(),
        };
        let mut admin = stage.world.admin();
        let page = admin
            .list_shard_accounts(request)
            .await
            .unwrap()
            .into_inner();
        all.extend(page.accounts);
        if !page.more {
            return all;
        }
    }
}

fn batch(accounts: &[ShardAccount], target: &str) -> StartMovesRequest {
    let row = |account: &Bytes| MoveRow {
        account: account.clone(),
        target: target.to_owned(),
    };
    StartMovesRequest {
        request_id: id(),
        rows: accounts.iter().map(|it| row(&it.account)).collect(),
        plan: "even".to_owned(),
    }
}

async fn started(stage: &Stage, request: StartMovesRequest) -> Vec<Outcome> {
    let mut admin = stage.world.admin();
    let reply = admin.start_moves(request).await.unwrap().into_inner();
    reply
        .results
        .iter()
        .map(|result| result.outcome())
        .collect()
}

#[tokio::test]
async fn removed_accounts_move_too_and_come_back_whole() {
    let stage = Stage::start().await;
    let mut subjects = Vec::new();
    for number in 0..5 {
        subjects.push(stage.account(&format!("a{number}")).await);
    }
    let removed = &subjects[3];
    let mail = removed.mail().await;
    removed.remove(false).await;
    until("the removal is confirmed", || async {
        let shown = removed.shown().await.unwrap();
        (!shown.pending).then_some(())
    })
    .await;
    let all = on(&stage, SOURCE, &[]).await;
    assert_eq!(all.len(), 5);
    let only = on(&stage, SOURCE, &[AccountState::Removed]).await;
    assert_eq!(only.len(), 1);
    stage.set_state(SOURCE, ShardState::Draining).await.unwrap();
    let request = batch(&all, TARGET);
    assert_eq!(
        started(&stage, request.clone()).await,
        [Outcome::Planned; 5]
    );
    // The same request is the same moves.
    assert_eq!(started(&stage, request).await, [Outcome::Planned; 5]);
    assert_eq!(
        started(&stage, batch(&all, TARGET)).await,
        [Outcome::Moving; 5]
    );
    let _driver = stage.drive().await;
    until("the shard retires", || async {
        stage.set_state(SOURCE, ShardState::Retired).await.ok()
    })
    .await;
    assert_eq!(on(&stage, TARGET, &[]).await.len(), 5);
    let shown = removed.shown().await.unwrap();
    assert_eq!(shown.state(), AccountState::Removed);
    assert_eq!(shown.route.unwrap().epoch, FIRST + 2);
    removed.restore().await;
    removed.is_whole(&mail, TARGET, FIRST + 3).await;
    stage.stop().await;
}

fn abort(shard: &str) -> AbortMovesRequest {
    AbortMovesRequest {
        request_id: id(),
        shard: shard.to_owned(),
        only_planned: true,
        plan: None,
    }
}

async fn aborted(stage: &Stage, request: AbortMovesRequest) -> u64 {
    let aborted = stage.world.admin().abort_moves(request).await;
    aborted.unwrap().into_inner().aborted
}

#[tokio::test]
async fn an_abort_that_comes_again_leaves_moves_that_were_asked_for_since() {
    let stage = Stage::start().await;
    let _subject = stage.account("ana").await;
    let here = on(&stage, SOURCE, &[]).await;
    assert_eq!(
        started(&stage, batch(&here, TARGET)).await,
        [Outcome::Planned]
    );
    let request = abort(SOURCE);
    assert_eq!(aborted(&stage, request.clone()).await, 1);
    assert_eq!(
        started(&stage, batch(&here, TARGET)).await,
        [Outcome::Planned]
    );
    assert_eq!(aborted(&stage, request.clone()).await, 1);
    assert!(!on(&stage, SOURCE, &[]).await[0].move_id.is_empty());
    assert_eq!(aborted(&stage, abort(SOURCE)).await, 1);
    let other = AbortMovesRequest {
        only_planned: false,
        ..request
    };
    let refused = stage.world.admin().abort_moves(other).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    stage.stop().await;
}

#[tokio::test]
async fn only_what_is_part_of_a_plan_is_aborted() {
    let stage = Stage::start().await;
    let _subject = stage.account("ana").await;
    let here = on(&stage, SOURCE, &[]).await;
    assert_eq!(
        started(&stage, batch(&here, TARGET)).await,
        [Outcome::Planned]
    );
    let of = |plan: &str| AbortMovesRequest {
        plan: Some(plan.to_owned()),
        ..abort(SOURCE)
    };
    assert_eq!(aborted(&stage, of("another")).await, 0);
    assert_eq!(aborted(&stage, of("")).await, 0);
    assert!(!on(&stage, SOURCE, &[]).await[0].move_id.is_empty());
    assert_eq!(aborted(&stage, of("even")).await, 1);
    assert!(on(&stage, SOURCE, &[]).await[0].move_id.is_empty());
    let long = StartMovesRequest {
        plan: "x".repeat(33),
        ..batch(&here, TARGET)
    };
    let refused = stage.world.admin().start_moves(long).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    stage.stop().await;
}

#[tokio::test]
async fn some_accounts_are_told_with_their_sizes() {
    let stage = Stage::start().await;
    let subject = stage.account("ana").await;
    subject.mail().await;
    let here = on(&stage, SOURCE, &[]).await;
    assert_eq!(here[0].bytes, None);
    let ask = |shard: &str, accounts: Vec<Bytes>| ListShardAccountsRequest {
        shard: shard.to_owned(),
        accounts,
        ..ListShardAccountsRequest::default()
    };
    let both = vec![here[0].account.clone(), AccountId::random().to_field()];
    let told = |request| {
        let mut admin = stage.world.admin();
        async move { admin.list_shard_accounts(request).await }
    };
    let found = told(ask(SOURCE, both.clone())).await.unwrap().into_inner();
    assert_eq!(found.accounts.len(), 1);
    assert!(found.accounts[0].bytes > Some(0), "{found:?}");
    let found = told(ask(TARGET, both)).await.unwrap().into_inner();
    assert!(found.accounts.is_empty());
    let many = vec![here[0].account.clone(); 1001];
    let refused = told(ask(SOURCE, many)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    stage.stop().await;
}

#[tokio::test]
async fn each_row_has_its_own_answer() {
    let stage = Stage::start().await;
    let subject = stage.account("ana").await;
    let here = on(&stage, SOURCE, &[]).await;
    assert_eq!(
        started(&stage, batch(&here, SOURCE)).await,
        [Outcome::There]
    );
    assert_eq!(
        started(&stage, batch(&here, "shard-9")).await,
        [Outcome::NoTarget]
    );
    let nobody = ShardAccount {
        account: AccountId::random().to_field(),
        ..ShardAccount::default()
    };
    let rows = [nobody, here[0].clone(), here[0].clone()];
    let outcomes = started(&stage, batch(&rows, TARGET)).await;
    assert_eq!(outcomes, [Outcome::Gone, Outcome::Planned, Outcome::Moving]);
    let listed = on(&stage, SOURCE, &[]).await;
    assert!(!listed[0].move_id.is_empty());
    for (shard, expected) in [("shard-9", 0), (TARGET, 1), (TARGET, 0)] {
        let aborted = aborted(&stage, abort(shard)).await;
        assert_eq!(aborted, expected, "{shard}");
    }
    let again = subject.start(TARGET).await;
    let _driver = stage.drive().await;
    subject.ends_as(&again, MovePhase::Done).await;
    stage.stop().await;
}
