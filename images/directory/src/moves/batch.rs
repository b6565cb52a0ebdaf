//! Moves that are asked for, or given up, many at a time: for administrators and for the operator.
//!
//! Each row is a transaction of its own. The id of a row's move follows from the request's id and the
//! row's place, so a request that is sent again finds the moves it has planned already.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use kit::rpc::ShardChannels;
use kit::services::shard_client::ShardClient;
use ring::digest::{SHA256, digest};
use tonic::{Request, Status};
use wire::ids::{AccountId, MoveId, RequestId, ShardName};
use wire::rpc::move_result::Outcome as Row;
use wire::rpc::{
    AccountState, AccountUsageRequest, ListShardAccountsReply, ListShardAccountsRequest, MovePhase,
    MoveResult, MoveRow, ShardAccount, ShardState,
};

use super::look::{LookError, read_account, read_move, read_shard};
use super::request::{RequestError, abort_request};
use super::room::room;
use super::start::{StartError, Wanted, start};
use crate::map::{Account, Map, Shared};
use crate::store::{Error, Outcome, Revision, SharedStore, Txn};

/// Most rows of one request.
const MAX_ROWS: usize = 256;

/// Most accounts of one page.
const MAX_PAGE: usize = 1000;

/// Octets of the word that says what moves are part of.
const MAX_PLAN: usize = 32;

/// How often a row is decided anew when others change what it read.
const ATTEMPTS: u32 = 8;

/// How long shards may take to tell the sizes of accounts; what is not told takes no room.
const USAGE_DEADLINE: Duration = Duration::from_secs(2);

/// How long the map may take to show a move that was planned, so that the next row sees the room
/// that it takes.
const SHOWN: Duration = Duration::from_secs(1);

/// What moves are asked for with; the caller has seen that the map is current.
#[derive(Clone)]
pub struct Batches {
    /// Where moves are planned.
    pub store: SharedStore,
    /// The map.
    pub shared: Arc<Shared>,
    /// Lead to shards.
    pub channels: ShardChannels,
}

impl Batches {
    /// Plans a move for each row: one result a row, in order. Errors are those of the whole request:
    /// sent again, it does the rest.
    pub async fn start(
        &self,
        request: RequestId,
        rows: &[MoveRow],
        plan: &str,
    ) -> Result<Vec<MoveResult>, Status> {
        if plan.len() > MAX_PLAN {
            let text = format!("plan: write at most {MAX_PLAN} octets");
            return Err(Status::invalid_argument(text));
        }
        if rows.len() > MAX_ROWS {
            let text = format!("rows: write at most {MAX_ROWS}");
            return Err(Status::invalid_argument(text));
        }
        let rows: Vec<_> = rows.iter().map(read).collect::<Result<_, _>>()?;
        let ids: Vec<AccountId> = rows.iter().map(|(id, _)| *id).collect();
        let sizes = self.sizes(&ids).await;
        let mut results = Vec::with_capacity(rows.len());
        for (place, (account, target)) in (0..).zip(&rows) {
            let id = row_id(request, place);
            let wanted = Wanted {
                id,
                target,
                plan,
                bytes: sizes.get(account).copied(),
                now_ms: kit::clock::unix_ms(),
            };
            let outcome = self.start_one(wanted, *account).await?;
            results.push(MoveResult {
                outcome: outcome.into(),
                move_id: match outcome {
                    Row::Planned => id.to_field(),
                    _ => Default::default(),
                },
            });
        }
        Ok(results)
    }

    async fn start_one(&self, wanted: Wanted<'_>, account: AccountId) -> Result<Row, Status> {
        for _ in 0..ATTEMPTS {
            match self.plan(wanted, account).await? {
                Err(outcome) => return Ok(outcome),
                Ok(txn) => {
                    if let Some(revision) = self.commit(txn).await? {
                        self.shown(revision).await;
                        return Ok(Row::Planned);
                    }
                }
            }
        }
        Err(busy())
    }

    /// The transaction that plans the move, or what is to be said instead.
    async fn plan(
        &self,
        wanted: Wanted<'_>,
        account: AccountId,
    ) -> Result<Result<Txn, Row>, Status> {
        let store = &*self.store;
        let (target, size) = (wanted.target, wanted.bytes);
        let earlier = read_move(store, account).await.map_err(looked)?;
        if earlier
            .as_ref()
            .is_some_and(|earlier| earlier.facts.id == wanted.id)
        {
            return Ok(Err(Row::Planned));
        }
        let Some(found) = read_account(store, account).await.map_err(looked)? else {
            return Ok(Err(Row::Gone));
        };
        let shard = read_shard(store, target).await.map_err(looked)?;
        if shard.state != ShardState::Active {
            return Ok(Err(Row::NoTarget));
        }
        let witness = shard.state_witness();
        let txn = match start(wanted, &found, earlier.as_ref(), witness) {
            Ok((_, txn)) => txn,
            Err(StartError::SameShard { .. }) => return Ok(Err(Row::There)),
            Err(StartError::AlreadyMoving { .. }) => return Ok(Err(Row::Moving)),
            Err(StartError::NotActive { .. }) => return Ok(Err(Row::NotActive)),
            Err(error @ StartError::Record { .. }) => {
                return Err(Status::data_loss(error.to_string()));
            }
        };
        let others = self.shared.read().bringing(target, account);
        Ok(match room(shard.load.as_ref(), others, size) {
            Ok(()) => Ok(txn),
            Err(_) => Err(Row::NoRoom),
        })
    }

    /// Aborts the open moves from and to a shard, or those of them that are only planned, or part of
    /// one plan: how many.
    pub async fn abort(
        &self,
        shard: &ShardName,
        only_planned: bool,
        plan: Option<&str>,
    ) -> Result<u64, Status> {
        let accounts: Vec<_> = {
            let map = self.shared.read();
            let name = shard.as_str();
            let open = map.open_moves();
            let named = open.filter(|(_, open)| open.source == name || open.target == name);
            let named = named.filter(|(_, open)| plan.is_none_or(|plan| open.plan == plan));
            named.map(|(account, _)| account).collect()
        };
        let mut aborted = 0;
        for account in accounts {
            aborted += u64::from(self.abort_one(account, only_planned).await?);
        }
        Ok(aborted)
    }

    async fn abort_one(&self, account: AccountId, only_planned: bool) -> Result<bool, Status> {
        for _ in 0..ATTEMPTS {
            let found = read_move(&*self.store, account).await.map_err(looked)?;
            let begun = found.is_none_or(|found| found.facts.phase != MovePhase::Planned);
            if only_planned && begun {
                return Ok(false);
            }
            let now_ms = kit::clock::unix_ms();
            let txn = match abort_request(&*self.store, account, now_ms).await {
                Ok((_, txn)) => txn,
                Err(RequestError::Look(error)) => return Err(looked(error)),
                // It was decided meanwhile.
                Err(_) => return Ok(false),
            };
            if self.commit(txn).await?.is_some() {
                return Ok(true);
            }
        }
        Err(busy())
    }

    /// Those of these accounts that are on a shard, with their sizes as far as it says so soon.
    pub async fn sized(
        &self,
        shard: &ShardName,
        ids: &[Bytes],
    ) -> Result<Vec<ShardAccount>, Status> {
        if ids.len() > MAX_PAGE {
            let text = format!("accounts: write at most {MAX_PAGE}");
            return Err(Status::invalid_argument(text));
        }
        let ids: Result<Vec<AccountId>, _> =
            ids.iter().map(|id| AccountId::from_slice(id)).collect();
        let ids = ids.map_err(|error| invalid("accounts", error))?;
        let there: Vec<(AccountId, ShardAccount)> = {
            let map = self.shared.read();
            let accounts = ids.iter().filter_map(|id| map.account(*id));
            let there = accounts.filter(|account| account.shard().name() == shard);
            there
                .map(|account| (account.id(), shown(account)))
                .collect()
        };
        let ids: Vec<AccountId> = there.iter().map(|(id, _)| *id).collect();
        let sizes = self.sizes(&ids).await;
        let sized = there.into_iter().map(|(id, account)| ShardAccount {
            bytes: sizes.get(&id).copied(),
            ..account
        });
        Ok(sized.collect())
    }

    /// Octets of accounts, as far as their shards say so soon.
    async fn sizes(&self, ids: &[AccountId]) -> HashMap<AccountId, u64> {
        let mut asked: HashMap<ShardName, (String, Vec<AccountId>)> = HashMap::new();
        {
            let map = self.shared.read();
            for account in ids.iter().filter_map(|id| map.account(*id)) {
                let Some(record) = account.shard().record() else {
                    continue;
                };
                let asked = asked.entry(account.shard().name().clone());
                let (_, ids) = asked.or_insert_with(|| (record.rpc_endpoint.clone(), Vec::new()));
                ids.push(account.id());
            }
        }
        let asked = asked
            .into_iter()
            .map(|(shard, (endpoint, ids))| self.sizes_at(shard, endpoint, ids));
        join_all(asked).await.into_iter().flatten().collect()
    }

    async fn sizes_at(
        &self,
        shard: ShardName,
        endpoint: String,
        ids: Vec<AccountId>,
    ) -> Vec<(AccountId, u64)> {
        let Ok(channel) = self.channels.get(&shard, &endpoint) else {
            return Vec::new();
        };
        let mut request = Request::new(AccountUsageRequest {
            accounts: ids.iter().map(|id| id.to_field()).collect(),
        });
        request.set_timeout(USAGE_DEADLINE);
        let Ok(reply) = ShardClient::new(channel).account_usage(request).await else {
            return Vec::new();
        };
        let usages = ids.into_iter().zip(reply.into_inner().usages);
        let found = usages.filter(|(_, usage)| usage.found);
        found.map(|(id, usage)| (id, usage.bytes)).collect()
    }

    /// None: others were first, or nobody knows: read again.
    async fn commit(&self, txn: Txn) -> Result<Option<Revision>, Status> {
        match self.store.commit(txn).await {
            Ok(Outcome::Committed(revision)) => Ok(Some(revision)),
            Ok(Outcome::Conflict) | Err(Error::Unknown(_)) => Ok(None),
            Err(error) => Err(Status::unavailable(error.to_string())),
        }
    }

    async fn shown(&self, revision: Revision) {
        let mut reached = self.shared.reached();
        let shown = reached.wait_for(|reached| *reached >= revision);
        // It is planned in any case.
        drop(tokio::time::timeout(SHOWN, shown).await);
    }
}

/// A page of a shard's accounts, in the order of their ids.
pub fn shard_accounts(
    map: &Map,
    shard: &ShardName,
    request: &ListShardAccountsRequest,
) -> Result<ListShardAccountsReply, Status> {
    let after = match &request.after[..] {
        [] => None,
        id => Some(AccountId::from_slice(id).map_err(|error| invalid("after", error))?),
    };
    let limit = match request.limit as usize {
        0 => MAX_PAGE,
        limit => limit.min(MAX_PAGE),
    };
    let states: Vec<AccountState> = request.states().collect();
    let wanted = |state| states.is_empty() || states.contains(&state);
    let accounts = map
        .accounts_of(shard)
        .filter(|account| wanted(account.state()));
    let ids = accounts.map(|account| account.id());
    let mut ids: Vec<_> = ids
        .filter(|id| after.is_none_or(|after| *id > after))
        .collect();
    let more = ids.len() > limit;
    if more {
        ids.select_nth_unstable(limit);
        ids.truncate(limit);
    }
    ids.sort_unstable();
    let accounts = ids.into_iter().filter_map(|id| map.account(id));
    Ok(ListShardAccountsReply {
        accounts: accounts.map(shown).collect(),
        more,
    })
}

fn shown(account: Account<'_>) -> ShardAccount {
    ShardAccount {
        account: account.id().to_field(),
        address: account.address(),
        state: account.state().into(),
        epoch: account.epoch().0,
        move_id: account.move_id().map(MoveId::to_field).unwrap_or_default(),
        bytes: None,
    }
}

/// The id of the move that a row plans.
fn row_id(request: RequestId, place: u64) -> MoveId {
    let named = [&request.as_bytes()[..], &place.to_be_bytes()].concat();
    let mut id = [0; 16];
    id.copy_from_slice(&digest(&SHA256, &named).as_ref()[..16]);
    MoveId::from_bytes(id)
}

fn read(row: &MoveRow) -> Result<(AccountId, ShardName), Status> {
    let account = AccountId::from_slice(&row.account);
    let target = row.target.parse::<ShardName>();
    Ok((
        account.map_err(|error| invalid("rows.account", error))?,
        target.map_err(|error| invalid("rows.target", error))?,
    ))
}

fn invalid(field: &str, why: impl std::fmt::Display) -> Status {
    Status::invalid_argument(format!("{field}: {why}"))
}

fn looked(error: LookError) -> Status {
    match error {
        LookError::Store(error) => Status::unavailable(error.to_string()),
        LookError::Record { .. } | LookError::Move(_) => Status::data_loss(error.to_string()),
    }
}

fn busy() -> Status {
    Status::unavailable("others kept changing what this needs; ask again")
}
