//! What administrators ask of moves: start one, abort one, describe one.

use wire::ids::{AccountId, MoveId, ShardName};
use wire::rpc::{Move, MovePhase, ShardState};

use super::facts::MoveFacts;
use super::look::{LookError, read_account, read_move, read_shard};
use super::start::{StartError, Wanted, start};
use super::transition::{abort, abort_within, aborted, rewrite_within};
use crate::store::{Store, Txn};

/// Why a move is not started or aborted.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The account is not there (any more).
    #[error("there is no such account")]
    NoAccount,
    /// No shard of that name was ever added.
    #[error("there is no shard {0}: `buzonera shards` lists them")]
    NoShard(ShardName),
    /// The target takes no accounts.
    #[error("{shard} is {state} and takes no accounts: choose an Active shard")]
    ShardState {
        /// The target.
        shard: ShardName,
        /// What it is.
        state: &'static str,
    },
    /// The account cannot be moved now.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There is no open move.
    #[error("the account is not being moved")]
    NotMoving,
    /// The account is on its new shard already.
    #[error("the account is on {0} already: the move cannot be aborted any more")]
    Switched(ShardName),
    /// The store could not be read.
    #[error(transparent)]
    Look(#[from] LookError),
}

/// The move that was asked for, and the transaction that plans it: commit it as it is, or with
/// more in it; on a conflict ask again.
pub async fn start_request(
    store: &dyn Store,
    id: MoveId,
    account: AccountId,
    target: &ShardName,
    now_ms: i64,
) -> Result<(MoveFacts, Txn), RequestError> {
    let found = read_account(store, account)
        .await?
        .ok_or(RequestError::NoAccount)?;
    let earlier = read_move(store, account).await?;
    let shard = read_shard(store, target).await?;
    match shard.state {
        ShardState::Active => {}
        ShardState::Unspecified => return Err(RequestError::NoShard(target.clone())),
        state => return Err(not_active(target, state)),
    }
    let witness = shard.state_witness();
    let wanted = Wanted {
        id,
        target,
        plan: "",
        bytes: None,
        now_ms,
    };
    Ok(start(wanted, &found, earlier.as_ref(), witness)?)
}

fn not_active(shard: &ShardName, state: ShardState) -> RequestError {
    let state = match state {
        ShardState::Unspecified => "unknown",
        ShardState::Active => "Active",
        ShardState::Cordoned => "Cordoned",
        ShardState::Draining => "Draining",
        ShardState::Retired => "Retired",
        ShardState::Lost => "Lost",
    };
    RequestError::ShardState {
        shard: shard.clone(),
        state,
    }
}

/// The move as it is once aborted, and the transaction that aborts it: commit it; on a conflict ask
/// again.
pub async fn abort_request(
    store: &dyn Store,
    account: AccountId,
    now_ms: i64,
) -> Result<(MoveFacts, Txn), RequestError> {
    let current = read_move(store, account)
        .await?
        .ok_or(RequestError::NotMoving)?;
    match current.facts.phase {
        MovePhase::Done => return Err(RequestError::Switched(current.facts.target)),
        MovePhase::Aborted => return Err(RequestError::NotMoving),
        MovePhase::Planned
        | MovePhase::Copying
        | MovePhase::Fencing
        | MovePhase::Verified
        | MovePhase::Unspecified => {}
    }
    let found = read_account(store, account)
        .await?
        .ok_or(RequestError::NoAccount)?;
    let reason = "aborted by an administrator".to_owned();
    let txn = abort(&current, &found, reason.clone(), now_ms);
    Ok((aborted(&current.facts, reason, now_ms), txn))
}

/// Aborts the account's open move, if there is one, in a transaction that writes the account's record
/// without it, at the epoch after the one it had.
pub async fn without_open_move(
    txn: Txn,
    store: &dyn Store,
    account: AccountId,
    reason: &str,
) -> Result<Txn, LookError> {
    let found = read_move(store, account).await?;
    Ok(match found.filter(|found| found.facts.is_open()) {
        Some(open) => abort_within(txn, &open, reason.to_owned(), kit::clock::unix_ms()),
        None => txn,
    })
}

/// Takes a move that was done back, in a transaction that gives the account to its source again; a
/// later move that is open already is aborted.
pub async fn taken_back(
    txn: Txn,
    store: &dyn Store,
    account: AccountId,
    move_id: MoveId,
    reason: &str,
) -> Result<Txn, LookError> {
    let now_ms = kit::clock::unix_ms();
    let found = read_move(store, account).await?;
    Ok(match found {
        Some(open) if open.facts.is_open() => abort_within(txn, &open, reason.to_owned(), now_ms),
        Some(done) if done.facts.id == move_id => {
            let taken_back = aborted(&done.facts, reason.to_owned(), now_ms);
            rewrite_within(txn, &done, &taken_back)
        }
        _ => txn,
    })
}

/// A move as administrators see it.
pub fn describe(facts: &MoveFacts) -> Move {
    Move {
        move_id: facts.id.to_field(),
        account: facts.account.to_field(),
        address: facts.address.clone(),
        source: facts.source.to_string(),
        target: facts.target.to_string(),
        epoch: facts.epoch.0,
        phase: facts.phase.into(),
        reason: facts.reason.clone(),
        messages: facts.progress.messages,
        bytes: facts.progress.bytes,
        total_messages: facts.progress.total_messages,
        total_bytes: facts.progress.total_bytes,
        started_at_ms: facts.started_at_ms,
        changed_at_ms: facts.changed_at_ms,
        plan: facts.plan.clone(),
    }
}
