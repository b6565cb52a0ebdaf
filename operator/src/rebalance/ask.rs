//! What a round asks the directory.

use std::collections::HashMap;

use bytes::Bytes;
use kit::rpc::Channel;
use plan::{Flow, Hold};
use wire::ids::{AccountId, IdError, RequestId};
use wire::rpc::move_result::Outcome;
use wire::rpc::{
    AbortMovesRequest, AccountState, ListRequest, ListShardAccountsRequest, Move, MoveRow,
    ShardAccount, StartMovesRequest,
};

use super::Failed;
use super::stop::Tag;
use crate::directory::admin;

/// Rows of one request.
const ROWS: usize = 256;

/// An account that moved so lately stays, unless its shard leaves.
pub(super) const LATELY_MS: i64 = 60 * 60 * 1000;

/// Which moves.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    /// Those that have not ended.
    Open,
    /// Every move that the directory remembers.
    All,
}

/// Moves, by address.
pub(super) async fn moves(channel: &Channel, which: Which) -> Result<Vec<Move>, Failed> {
    let filter = match which {
        Which::Open => "open",
        Which::All => "",
    };
    let mut all: Vec<Move> = Vec::new();
    loop {
        let after = all.last().map(|last| last.address.clone());
        let request = ListRequest {
            after: after.unwrap_or_default(),
            filter: filter.to_owned(),
            ..ListRequest::default()
        };
        let page = admin(channel).list_moves(request).await?.into_inner();
        let is_last = !page.more || page.moves.is_empty();
        all.extend(page.moves);
        if is_last {
            return Ok(all);
        }
    }
}

/// The accounts that moved, or were to, within the hour, and when: milliseconds since 1970.
pub(super) fn moved_lately(all: &[Move]) -> HashMap<Bytes, i64> {
    let since = kit::clock::unix_ms() - LATELY_MS;
    let lately = all.iter().filter(|it| it.changed_at_ms >= since);
    lately
        .map(|it| (it.account.clone(), it.changed_at_ms))
        .collect()
}

/// The accounts of the shard that gives.
pub(super) async fn accounts(channel: &Channel, flow: &Flow) -> Result<Vec<ShardAccount>, Failed> {
    let mut all: Vec<ShardAccount> = Vec::new();
    loop {
        let after = all.last().map(|last| last.account.clone());
        let request = ListShardAccountsRequest {
            shard: flow.from.to_string(),
            after: after.unwrap_or_default(),
            ..ListShardAccountsRequest::default()
        };
        let page = admin(channel).list_shard_accounts(request).await?;
        let page = page.into_inner();
        let is_last = !page.more || page.accounts.is_empty();
        all.extend(page.accounts);
        if is_last {
            return Ok(all);
        }
    }
}

/// Whether something keeps them there.
pub(super) fn held(
    accounts: &[ShardAccount],
    lately: &HashMap<Bytes, i64>,
) -> Result<Vec<(AccountId, Hold)>, IdError> {
    let held = accounts.iter().map(|account| {
        let id = AccountId::from_slice(&account.account)?;
        Ok((id, hold(account, lately.contains_key(&account.account))))
    });
    held.collect()
}

/// Octets of accounts of the shard that gives, as far as it tells them soon: nobody waits longer for
/// them, and nothing fails without them.
pub(super) async fn sizes(
    channel: &Channel,
    flow: &Flow,
    accounts: &[AccountId],
) -> HashMap<AccountId, u64> {
    let request = ListShardAccountsRequest {
        shard: flow.from.to_string(),
        accounts: accounts.iter().map(|id| id.to_field()).collect(),
        ..ListShardAccountsRequest::default()
    };
    let told = match admin(channel).list_shard_accounts(request).await {
        Ok(reply) => reply.into_inner().accounts,
        Err(status) => {
            tracing::debug!(shard = %flow.from, %status, "sizes of accounts are not told");
            return HashMap::new();
        }
    };
    let sized = |it: ShardAccount| Some((AccountId::from_slice(&it.account).ok()?, it.bytes?));
    told.into_iter().filter_map(sized).collect()
}

fn hold(account: &ShardAccount, lately: bool) -> Hold {
    let can_move = match account.state() {
        AccountState::Active | AccountState::Removed => account.move_id.is_empty(),
        AccountState::Unspecified | AccountState::Creating | AccountState::Purging => false,
    };
    match (can_move, lately) {
        (false, _) => Hold::Fast,
        (true, true) => Hold::MovedLately,
        (true, false) => Hold::Free,
    }
}

/// Gives up the moves of this tag from and to a shard that have not begun.
pub(super) async fn abort(channel: &Channel, shard: &str, tag: &Tag) -> Result<(), Failed> {
    let request = AbortMovesRequest {
        request_id: RequestId::random().to_field(),
        shard: shard.to_owned(),
        only_planned: true,
        plan: Some(tag.as_str().to_owned()),
    };
    let reply = admin(channel).abort_moves(request).await?.into_inner();
    tracing::info!(
        shard,
        tag = tag.as_str(),
        aborted = reply.aborted,
        "moves were given up"
    );
    Ok(())
}

/// Plans moves: how many were, and for how many the directory found no room.
pub(super) async fn start(
    channel: &Channel,
    flow: &Flow,
    tag: &Tag,
    accounts: &[AccountId],
) -> Result<(usize, usize), Failed> {
    let (mut planned, mut no_room) = (0, 0);
    for accounts in accounts.chunks(ROWS) {
        let rows = accounts.iter().map(|account| MoveRow {
            account: account.to_field(),
            target: flow.to.to_string(),
        });
        let request = StartMovesRequest {
            request_id: RequestId::random().to_field(),
            rows: rows.collect(),
            plan: tag.as_str().to_owned(),
        };
        let reply = admin(channel).start_moves(request).await?.into_inner();
        let count = |of: Outcome| {
            let outcomes = reply.results.iter().map(wire::rpc::MoveResult::outcome);
            outcomes.filter(|outcome| *outcome == of).count()
        };
        planned += count(Outcome::Planned);
        no_room += count(Outcome::NoRoom);
    }
    if planned > 0 {
        tracing::info!(from = %flow.from, to = %flow.to, planned, "moves were asked for");
    }
    Ok((planned, no_room))
}
