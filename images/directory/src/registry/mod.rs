//! What shards say to the directory and learn from it: the `Registry` service.
//!
//! A shard speaks for itself only: the instance in its certificate is its name.

mod acquire;
mod confirm;
mod debts;
mod locate;
mod opening;
mod records;
mod release;
mod renew;
mod report;
mod serving;
mod volume;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use kit::lifecycle::Shutdown;
use kit::rpc::directory::WATCH_BEAT;
use kit::services::registry_server;
use tonic::{Request, Response, Status};
use wire::ids::{ClusterId, ShardName};
use wire::rpc::{
    AcquireLeaseReply, AcquireLeaseRequest, ConfirmReply, ConfirmRequest, LocateReply,
    LocateRequest, ReleaseLeaseReply, ReleaseLeaseRequest, RenewLeaseReply, RenewLeaseRequest,
    ReportReply, ReportRequest, TellOpeningReply, TellOpeningRequest, TellVolumeReply,
    TellVolumeRequest, WatchRequest,
};

use crate::map::Shared;
use crate::store::{Freshness, SharedStore};

/// Long enough that a directory's restart or an etcd election is no event, short enough that a
/// shard whose node is lost is away for seconds only.
const TTL: Duration = Duration::from_secs(20);

/// A shard's load is written at most so often.
const LOAD_INTERVAL: Duration = Duration::from_secs(30);

/// Likewise how the opening of a volume goes, unless it is news of another kind: a whole cluster that
/// starts must not load its store, and a person looks no more often.
const OPENING_INTERVAL: Duration = Duration::from_secs(10);

/// How long a watch may wait until this replica is current: a store whose disk is slow needs seconds.
const PROOF: Duration = Duration::from_secs(5);

/// How long a shard waits for where an account is: its reader waits with it, and there may be a better
/// replica to ask.
const LOCATE: Duration = Duration::from_secs(1);

/// Leases and the rest of what concerns shards.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// Life of a shard's lease, whole seconds; shards renew it thrice in it.
    pub ttl: Duration,
    /// A shard's load is written at most so often.
    pub load_interval: Duration,
    /// How its opening goes is written at most so often.
    pub opening_interval: Duration,
    /// How long a watch may wait until this replica is current.
    pub proof: Duration,
    /// How often a watch that has nothing to tell says that it lives.
    pub watch_beat: Duration,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            ttl: TTL,
            load_interval: LOAD_INTERVAL,
            opening_interval: OPENING_INTERVAL,
            proof: PROOF,
            watch_beat: WATCH_BEAT,
        }
    }
}

/// The service.
#[derive(Clone)]
pub struct Registry {
    /// Where leases and accounts are written.
    pub store: SharedStore,
    /// The map that watches follow.
    pub shared: Arc<Shared>,
    /// The proof that the map is current.
    pub freshness: Arc<Freshness>,
    /// The cluster that the store is of.
    pub cluster: ClusterId,
    /// Timings.
    pub config: RegistryConfig,
    /// Ends watches.
    pub shutdown: Shutdown,
}

#[tonic::async_trait]
impl registry_server::Registry for Registry {
    async fn tell_opening(
        &self,
        request: Request<TellOpeningRequest>,
    ) -> Result<Response<TellOpeningReply>, Status> {
        let shard = shard(&request)?;
        self.record_opening(&shard, request.into_inner()).await?;
        Ok(Response::new(TellOpeningReply {}))
    }

    async fn acquire_lease(
        &self,
        request: Request<AcquireLeaseRequest>,
    ) -> Result<Response<AcquireLeaseReply>, Status> {
        let shard = shard(&request)?;
        let reply = self.acquire(&shard, &request.into_inner()).await?;
        Ok(Response::new(reply))
    }

    async fn renew_lease(
        &self,
        request: Request<RenewLeaseRequest>,
    ) -> Result<Response<RenewLeaseReply>, Status> {
        let shard = shard(&request)?;
        let reply = self.renew(&shard, &request.into_inner()).await?;
        Ok(Response::new(reply))
    }

    async fn tell_volume(
        &self,
        request: Request<TellVolumeRequest>,
    ) -> Result<Response<TellVolumeReply>, Status> {
        let shard = shard(&request)?;
        self.record_volume(&shard, &request.into_inner()).await?;
        Ok(Response::new(TellVolumeReply {}))
    }

    async fn release_lease(
        &self,
        request: Request<ReleaseLeaseRequest>,
    ) -> Result<Response<ReleaseLeaseReply>, Status> {
        let shard = shard(&request)?;
        let reply = self.release(&shard, &request.into_inner()).await?;
        Ok(Response::new(reply))
    }

    async fn report(
        &self,
        request: Request<ReportRequest>,
    ) -> Result<Response<ReportReply>, Status> {
        let shard = shard(&request)?;
        let reply = self.record(&shard, &request.into_inner()).await?;
        Ok(Response::new(reply))
    }

    type WatchStream = watch::Replies;

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let shard = shard(&request)?;
        let replies = self.follow(shard, &request.into_inner()).await?;
        Ok(Response::new(replies))
    }

    async fn locate(
        &self,
        request: Request<LocateRequest>,
    ) -> Result<Response<LocateReply>, Status> {
        let shard = shard(&request)?;
        let reply = self.proven_entry(&shard, &request.into_inner()).await?;
        Ok(Response::new(reply))
    }

    async fn confirm(
        &self,
        request: Request<ConfirmRequest>,
    ) -> Result<Response<ConfirmReply>, Status> {
        let shard = shard(&request)?;
        let request = request.into_inner();
        self.confirm_all(&shard, &request).await?;
        self.take_payments(&shard, &request).await?;
        Ok(Response::new(ConfirmReply {}))
    }
}

/// The shard that calls.
fn shard<T>(request: &Request<T>) -> Result<ShardName, Status> {
    let identity = kit::rpc::caller(request)?;
    let name = identity.instance().parse();
    name.map_err(|error: wire::ids::IdError| Status::permission_denied(error.to_string()))
}
