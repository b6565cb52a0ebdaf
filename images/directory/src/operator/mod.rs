//! What keeps a cluster as it is described: shards and their states, and how this replica is.
//!
//! Its rights are a table's matter; `Bootstrap` and `Status` are the two calls that a replica
//! answers before its store is its cluster's.

mod bootstrap;
mod gate;
mod refuse;
mod shards;
mod status;

use kit::services::operator_server;
use kit::tls::{BundleFile, Credentials};
use tonic::{Request, Response, Status};
use wire::rpc;

pub(crate) use gate::gate;

use crate::admin::Admin;
use crate::claim::Claim;

/// The service; cheap to clone.
#[derive(Clone)]
pub(crate) struct Operator {
    pub(crate) admin: Admin,
    pub(crate) claim: Claim,
    pub(crate) credentials: Credentials,
    /// None: the store is reached without certificates.
    pub(crate) store_bundle: Option<BundleFile>,
}

#[tonic::async_trait]
impl operator_server::Operator for Operator {
    async fn bootstrap(
        &self,
        request: Request<rpc::BootstrapRequest>,
    ) -> Result<Response<rpc::BootstrapReply>, Status> {
        let reply = self.make_ours(&request.into_inner()).await;
        reply.map(Response::new)
    }

    async fn allocate_shard(
        &self,
        request: Request<rpc::AllocateShardRequest>,
    ) -> Result<Response<rpc::ShardInfo>, Status> {
        self.allocate(request.into_inner()).await.map(Response::new)
    }

    async fn set_shard(
        &self,
        request: Request<rpc::SetShardRequest>,
    ) -> Result<Response<rpc::ShardInfo>, Status> {
        self.set(request.into_inner()).await.map(Response::new)
    }

    async fn list_shards(
        &self,
        request: Request<rpc::ListRequest>,
    ) -> Result<Response<rpc::ListShardsReply>, Status> {
        self.list(&request.into_inner()).await.map(Response::new)
    }

    async fn status(
        &self,
        _request: Request<rpc::StatusRequest>,
    ) -> Result<Response<rpc::ReplicaStatus>, Status> {
        Ok(Response::new(self.replica().await))
    }
}
