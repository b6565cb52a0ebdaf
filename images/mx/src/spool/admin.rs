//! What `buzonera spool` asks an MX for.

use bytes::Bytes;
use kit::services::spool_admin_server::SpoolAdmin;
use tonic::{Request, Response, Status};
use wire::rpc::{
    SpoolCordonRequest, SpoolEntry, SpoolListReply, SpoolListRequest, SpoolRemoveRequest,
    SpoolRetryReply, SpoolRetryRequest, SpoolShowRequest, SpoolStatus, SpoolStatusRequest,
    SpoolTarget,
};

use crate::door::Door;
use crate::spool::queue::{Entry, EntryId, State, Target};
use crate::spool::report;
use crate::spool::store::{NotRemoved, Spool};

/// Most entries of one answer, and of one request.
const MAX_ENTRIES: usize = 1000;

/// How much of a message is shown: its header, as a rule.
const HEAD: usize = 16 << 10;

/// The service over one spool, and the door of its MX.
pub struct Service {
    spool: Spool,
    door: Door,
}

impl Service {
    /// For this spool behind this door.
    pub fn new(spool: Spool, door: Door) -> Self {
        Self { spool, door }
    }

    /// In this order: behind a shut door without sessions, what is counted last is all there will be.
    fn told(&self) -> SpoolStatus {
        let cordoned = self.door.is_cordoned();
        let sessions = self.door.sessions();
        let counts = self.spool.counts();
        SpoolStatus {
            cordoned,
            pending: counts.pending as u64,
            dead: counts.dead as u64,
            sessions,
        }
    }

    fn list_where(
        &self,
        request: &SpoolListRequest,
        wanted: impl Fn(&Entry) -> bool,
    ) -> SpoolListReply {
        let limit = match request.limit as usize {
            0 => MAX_ENTRIES,
            some => some.min(MAX_ENTRIES),
        };
        let in_queue = |entry: &Entry| {
            let here = |target: &Target| target.shard.as_str() == request.shard;
            wanted(entry) && (request.shard.is_empty() || entry.targets.iter().any(here))
        };
        let entries = self.spool.list(EntryId(request.after), limit, in_queue);
        let counts = self.spool.counts();
        SpoolListReply {
            entries: entries.iter().map(shown).collect(),
            total_entries: counts.entries as u64,
            total_pending: counts.pending as u64,
            total_dead: counts.dead as u64,
            total_bytes: counts.bytes,
        }
    }
}

#[tonic::async_trait]
impl SpoolAdmin for Service {
    async fn list(
        &self,
        request: Request<SpoolListRequest>,
    ) -> Result<Response<SpoolListReply>, Status> {
        let reply = self.list_where(request.get_ref(), |_| true);
        Ok(Response::new(reply))
    }

    async fn dead_letters(
        &self,
        request: Request<SpoolListRequest>,
    ) -> Result<Response<SpoolListReply>, Status> {
        let reply = self.list_where(request.get_ref(), has_dead);
        Ok(Response::new(reply))
    }

    async fn show(
        &self,
        request: Request<SpoolShowRequest>,
    ) -> Result<Response<SpoolEntry>, Status> {
        let id = EntryId(request.get_ref().entry);
        let gone = || Status::not_found(format!("the spool has no entry {id}"));
        let entry = self.spool.show(id).ok_or_else(gone)?;
        let body = self.spool.body(&entry);
        let head = body
            .chunk(0)
            .await
            .map_err(|error| Status::internal(format!("entry {id}: {error}")))?;
        let head = Bytes::copy_from_slice(&head[..head.len().min(HEAD)]);
        let shown = shown(&entry);
        Ok(Response::new(SpoolEntry { head, ..shown }))
    }

    async fn retry(
        &self,
        request: Request<SpoolRetryRequest>,
    ) -> Result<Response<SpoolRetryReply>, Status> {
        let request = request.into_inner();
        if request.entries.len() > MAX_ENTRIES {
            return Err(Status::invalid_argument("entries: at most 1,000"));
        }
        if request.all != request.entries.is_empty() {
            return Err(Status::invalid_argument(
                "entries: name some, or ask for all",
            ));
        }
        let targets = match request.all {
            true => self.spool.retry_all(),
            false => {
                let ids: Vec<_> = request.entries.into_iter().map(EntryId).collect();
                self.spool.retry_now(&ids)
            }
        };
        let targets = targets.map_err(|error| Status::unavailable(error.to_string()))? as u64;
        Ok(Response::new(SpoolRetryReply { targets }))
    }

    async fn remove(
        &self,
        request: Request<SpoolRemoveRequest>,
    ) -> Result<Response<SpoolEntry>, Status> {
        let by = kit::rpc::caller(&request)?;
        let client = kit::rpc::peer(&request)?.address;
        let id = EntryId(request.get_ref().entry);
        let entry = self.spool.remove(id).await.map_err(refusal)?;
        tracing::info!(entry = %id, %by, "a dead letter is removed");
        report::removed(&entry, client, self.spool.clock().now());
        Ok(Response::new(shown(&entry)))
    }

    async fn cordon(
        &self,
        request: Request<SpoolCordonRequest>,
    ) -> Result<Response<SpoolStatus>, Status> {
        let by = kit::rpc::caller(&request)?;
        let on = request.get_ref().on;
        self.door.cordon(on);
        tracing::info!(on, %by, "cordon");
        if on {
            let retried = self.spool.retry_all();
            retried.map_err(|error| Status::unavailable(error.to_string()))?;
        }
        Ok(Response::new(self.told()))
    }

    async fn status(
        &self,
        _request: Request<SpoolStatusRequest>,
    ) -> Result<Response<SpoolStatus>, Status> {
        Ok(Response::new(self.told()))
    }
}

fn refusal(error: NotRemoved) -> Status {
    let said = error.to_string();
    match error {
        NotRemoved::Gone(_) => Status::not_found(said),
        NotRemoved::Tried(..) => Status::failed_precondition(said),
        NotRemoved::Log(..) => Status::unavailable(said),
    }
}

fn has_dead(entry: &Entry) -> bool {
    entry.targets.iter().any(Target::is_dead)
}

fn shown(entry: &Entry) -> SpoolEntry {
    SpoolEntry {
        entry: entry.id.0,
        transaction_id: entry.transaction_id.clone(),
        delivery_id: entry.delivery_id.to_field(),
        reverse_path: entry.reverse_path.clone(),
        received_at_ms: entry.received_at_ms,
        size: entry.body.length,
        targets: entry.targets.iter().map(shown_target).collect(),
        head: Bytes::new(),
    }
}

fn shown_target(target: &Target) -> SpoolTarget {
    let (next_attempt_ms, in_flight, dead) = match &target.state {
        State::Due(at) => (*at, false, String::new()),
        State::InFlight => (0, true, String::new()),
        State::Dead(reason) => (0, false, reason.clone()),
    };
    SpoolTarget {
        account: target.account.to_field(),
        recipient: target.recipient.clone(),
        shard: target.shard.to_string(),
        epoch: target.epoch.0,
        attempts: target.attempts,
        last_error: target.last_error.clone(),
        next_attempt_ms,
        in_flight,
        dead,
    }
}
