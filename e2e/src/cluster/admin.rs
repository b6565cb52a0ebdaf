//! An administrator of a cluster, over RPC.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;
use kit::rpc::{Channel, ChannelOptions, channel};
use kit::services::admin_client::AdminClient;
use kit::tls::Credentials;
use tonic::Status;
use wire::identity::Tier;
use wire::ids::RequestId;
use wire::rpc::{
    Account, AddAccountRequest, AddDomainRequest, AddShardRequest, AddressName, ListRequest, Move,
    ShardInfo, StartMoveRequest,
};

/// Asks one replica of the directory.
#[derive(Clone)]
pub struct Admin {
    channel: Channel,
}

impl Admin {
    /// With the identity in `folder`, at the replica `instance`.
    pub fn new(folder: &Path, address: SocketAddr, instance: &str) -> Result<Self> {
        let credentials = Credentials::load(folder)?;
        let replica = credentials.peer(Tier::Directory, instance)?;
        let options = ChannelOptions::default();
        let channel = channel(&address.to_string(), &replica, &credentials, options)?;
        Ok(Self { channel })
    }

    fn client(&self) -> AdminClient<Channel> {
        AdminClient::new(self.channel.clone())
    }

    /// Makes a shard known.
    pub async fn add_shard(&self, name: &str) -> Result<ShardInfo, Status> {
        let request = AddShardRequest {
            request_id: request_id(),
            name: name.to_owned(),
        };
        Ok(self.client().add_shard(request).await?.into_inner())
    }

    /// Every shard.
    pub async fn shards(&self) -> Result<Vec<ShardInfo>, Status> {
        Ok(self
            .client()
            .list_shards(ListRequest::default())
            .await?
            .into_inner()
            .shards)
    }

    /// Adds a domain.
    pub async fn add_domain(&self, name: &str) -> Result<(), Status> {
        let request = AddDomainRequest {
            request_id: request_id(),
            name: name.to_owned(),
            ..AddDomainRequest::default()
        };
        self.client().add_domain(request).await.map(|_| ())
    }

    /// Adds an account, on a shard if one is named.
    pub async fn add_account(
        &self,
        address: &str,
        password: &str,
        shard: &str,
    ) -> Result<Account, Status> {
        let request = AddAccountRequest {
            request_id: request_id(),
            address: address.to_owned(),
            password: password.as_bytes().to_vec().into(),
            quota: None,
            shard: shard.to_owned(),
        };
        Ok(self.client().add_account(request).await?.into_inner())
    }

    /// An account.
    pub async fn account(&self, address: &str) -> Result<Account, Status> {
        let request = AddressName {
            address: address.to_owned(),
        };
        Ok(self.client().show_account(request).await?.into_inner())
    }

    /// Asks for a move.
    pub async fn start_move(&self, address: &str, target: &str) -> Result<Move, Status> {
        let request = StartMoveRequest {
            request_id: request_id(),
            address: address.to_owned(),
            target: target.to_owned(),
        };
        Ok(self.client().start_move(request).await?.into_inner())
    }

    /// Moves, all that are remembered or only open ones.
    pub async fn moves(&self, only_open: bool) -> Result<Vec<Move>, Status> {
        let filter = if only_open { "open" } else { "" };
        let request = ListRequest {
            filter: filter.to_owned(),
            ..ListRequest::default()
        };
        Ok(self.client().list_moves(request).await?.into_inner().moves)
    }
}

fn request_id() -> bytes::Bytes {
    RequestId::random().to_field()
}
