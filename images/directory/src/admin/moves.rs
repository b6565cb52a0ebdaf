//! Moves: started, aborted and shown here, driven elsewhere.

use std::sync::Arc;

use tonic::Status;
use wire::ids::{AccountId, MoveId};
use wire::rpc::{
    AbortMoveRequest, AbortMovesReply, AbortMovesRequest, ListMovesReply, ListRequest,
    ListShardAccountsReply, ListShardAccountsRequest, Move, MoveLimits, SetMoveLimitsRequest,
    ShowMoveRequest, StartMoveRequest, StartMovesReply, StartMovesRequest,
};

use super::write::{Plan, Request};
use super::{Admin, page, refuse};
use crate::map::LeadsTo;
use crate::model::records::MoveRecord;
use crate::moves::{
    Batches, MoveFacts, RequestError, abort_request, describe, effective, set_limits,
    shard_accounts, start_request,
};
use crate::store::Txn;

impl Admin {
    pub(super) async fn start_move(&self, mut message: StartMoveRequest) -> Result<Move, Status> {
        let id = std::mem::take(&mut message.request_id);
        let request = Request::new(&id, "Admin.StartMove", &message)?;
        let address = refuse::address("address", &message.address)?;
        let target = refuse::shard("target", &message.target)?;
        // The same request is the same move, also when its answer was lost.
        let move_id = MoveId::from_bytes(*request.id().as_bytes());
        self.write(&request, || async {
            let (account, _) = self.live(&address).await?;
            let now_ms = kit::clock::unix_ms();
            let planned = start_request(&*self.store, move_id, account, &target, now_ms).await;
            let (facts, txn) = planned.map_err(refused)?;
            Ok(Plan::Commit(txn, describe(&facts)))
        })
        .await
    }

    pub(super) async fn abort_move(&self, mut message: AbortMoveRequest) -> Result<Move, Status> {
        let id = std::mem::take(&mut message.request_id);
        let request = Request::new(&id, "Admin.AbortMove", &message)?;
        let address = refuse::address("address", &message.address)?;
        self.write(&request, || async {
            let (account, _) = self.live(&address).await?;
            let aborted = abort_request(&*self.store, account, kit::clock::unix_ms()).await;
            let (facts, txn) = aborted.map_err(refused)?;
            Ok(Plan::Commit(txn, describe(&facts)))
        })
        .await
    }

    pub(super) async fn start_moves(
        &self,
        message: StartMovesRequest,
    ) -> Result<StartMovesReply, Status> {
        let id = refuse::request_id(&message.request_id)?;
        self.current().await?;
        let results = self
            .batches()
            .start(id, &message.rows, &message.plan)
            .await?;
        Ok(StartMovesReply { results })
    }

    pub(super) async fn abort_moves(
        &self,
        mut message: AbortMovesRequest,
    ) -> Result<AbortMovesReply, Status> {
        let id = std::mem::take(&mut message.request_id);
        let request = Request::new(&id, "AbortMoves", &message)?;
        let shard = refuse::shard("shard", &message.shard)?;
        self.current().await?;
        // Sent again after its answer, it must not reach moves that were asked for since.
        if let Some(reply) = self.earlier(&request).await? {
            return Ok(reply);
        }
        let aborted = self
            .batches()
            .abort(&shard, message.only_planned, message.plan.as_deref())
            .await?;
        let reply = AbortMovesReply { aborted };
        self.write(&request, || async { Ok(Plan::Commit(Txn::new(), reply)) })
            .await
    }

    pub(super) async fn show_move_limits(&self) -> Result<MoveLimits, Status> {
        self.current().await?;
        Ok(effective(self.shared.read().move_limits()))
    }

    pub(super) async fn set_move_limits(
        &self,
        mut message: SetMoveLimitsRequest,
    ) -> Result<MoveLimits, Status> {
        let id = std::mem::take(&mut message.request_id);
        let request = Request::new(&id, "Admin.SetMoveLimits", &message)?;
        let wanted = message.limits.unwrap_or_default();
        self.write(&request, || async {
            let set = set_limits(Txn::new(), wanted, kit::clock::unix_ms());
            let (txn, limits) = set.map_err(|error| refuse::invalid("limits", error))?;
            Ok(Plan::Commit(txn, limits))
        })
        .await
    }

    pub(super) async fn list_shard_accounts(
        &self,
        message: ListShardAccountsRequest,
    ) -> Result<ListShardAccountsReply, Status> {
        let shard = refuse::shard("shard", &message.shard)?;
        self.current().await?;
        if message.accounts.is_empty() {
            return shard_accounts(&self.shared.read(), &shard, &message);
        }
        let accounts = self.batches().sized(&shard, &message.accounts).await?;
        Ok(ListShardAccountsReply {
            accounts,
            more: false,
        })
    }

    fn batches(&self) -> Batches {
        Batches {
            store: Arc::clone(&self.store),
            shared: Arc::clone(&self.shared),
            channels: self.channels.clone(),
        }
    }

    pub(super) async fn show_move(&self, message: ShowMoveRequest) -> Result<Move, Status> {
        self.current().await?;
        if message.move_id.is_empty() {
            let address = refuse::address("address", &message.address)?;
            return self.move_of(address.as_str());
        }
        let id = MoveId::from_slice(&message.move_id);
        let id = id.map_err(|error| refuse::invalid("move_id", error))?;
        let map = self.shared.read();
        let mut moves = map.moves();
        let found = moves.find(|(_, record)| record.move_id == id.as_bytes().as_slice());
        let (account, record) =
            found.ok_or_else(|| Status::not_found(format!("there is no move {id}")))?;
        show(account, record)
    }

    fn move_of(&self, address: &str) -> Result<Move, Status> {
        let map = self.shared.read();
        let Some(LeadsTo::Account(account)) = map.address(address) else {
            return Err(Status::not_found(format!("there is no account {address}")));
        };
        match map.move_of(account) {
            Some(record) => show(account, record),
            None => Err(Status::not_found(format!("{address} was not moved lately"))),
        }
    }

    /// By address, then by id: names are those of the accounts.
    pub(super) async fn list_moves(&self, message: ListRequest) -> Result<ListMovesReply, Status> {
        self.current().await?;
        let only_open = match message.filter.as_str() {
            "" => false,
            "open" => true,
            _ => return Err(refuse::invalid("filter", "write \"open\", or nothing")),
        };
        let map = self.shared.read();
        let moves = map
            .moves_after(&message.after)
            .filter(|(_, record)| !only_open || record.is_open())
            .map(|(account, record)| show(account, record));
        let (moves, more) = page(moves, message.limit);
        let moves = moves.into_iter().collect::<Result<_, _>>()?;
        Ok(ListMovesReply { moves, more })
    }
}

fn show(account: AccountId, record: &MoveRecord) -> Result<Move, Status> {
    let facts = MoveFacts::read(account, record);
    let facts = facts.map_err(|error| Status::data_loss(error.to_string()))?;
    Ok(describe(&facts))
}

fn refused(error: RequestError) -> Status {
    let sentence = error.to_string();
    match error {
        RequestError::NoAccount | RequestError::NoShard(_) | RequestError::NotMoving => {
            Status::not_found(sentence)
        }
        RequestError::ShardState { .. } | RequestError::Start(_) | RequestError::Switched(_) => {
            Status::failed_precondition(sentence)
        }
        RequestError::Look(_) => refuse::again(sentence),
    }
}
