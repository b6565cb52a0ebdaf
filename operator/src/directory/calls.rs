//! What the directory is told: the cluster's id, its domains, what moves may cost, and shards.
//!
//! Each call may be sent again: its request id follows from what it asks for, or it asks for what is
//! so already.

use kit::rpc::{Channel, refusal};
use tonic::{Code, Status};
use wire::ids::{ClusterId, RequestId};
use wire::rpc::refusal::Why;
use wire::rpc::{
    AddDomainRequest, AllocateShardRequest, BootstrapRequest, MoveLimits, SetMoveLimitsRequest,
    ShardInfo, ShowMoveLimitsRequest,
};

use super::{admin, operator};

/// Why no shard was made.
#[derive(Debug, thiserror::Error)]
pub enum AllocateError {
    /// The number was used before: the next free one.
    #[error("it was used before; {next} is free")]
    Used {
        /// The lowest that is free.
        next: u32,
    },
    /// The directory refuses, or does not answer.
    #[error(transparent)]
    Call(#[from] Status),
}

/// Makes an empty store the cluster's.
pub(crate) async fn bootstrap(channel: &Channel, cluster: ClusterId) -> Result<(), Status> {
    let request = BootstrapRequest {
        cluster_id: cluster.to_string(),
    };
    operator(channel).bootstrap(request).await.map(drop)
}

/// Adds a domain, if it is missing.
pub async fn add_domain(channel: &Channel, name: &str, postmaster: String) -> Result<(), Status> {
    let request = AddDomainRequest {
        request_id: RequestId::random().to_field(),
        name: name.to_owned(),
        postmaster,
        separator: None,
    };
    match admin(channel).add_domain(request).await {
        Ok(_) => Ok(()),
        Err(status) if status.code() == Code::AlreadyExists => Ok(()),
        Err(status) => Err(status),
    }
}

/// Sets what moves may cost, where it differs.
pub async fn set_limits(channel: &Channel, wanted: MoveLimits) -> Result<(), Status> {
    let found = admin(channel)
        .show_move_limits(ShowMoveLimitsRequest {})
        .await?;
    let found = found.into_inner();
    // 0 in a request is the default, which is told as what it is.
    let max_open = match wanted.max_open {
        0 => found.max_open,
        max_open => max_open,
    };
    if found == (MoveLimits { max_open, ..wanted }) {
        return Ok(());
    }
    let request = SetMoveLimitsRequest {
        request_id: RequestId::random().to_field(),
        limits: Some(wanted),
    };
    admin(channel).set_move_limits(request).await.map(drop)
}

/// Makes a shard: that of `ordinal`, or the next one. `known` is how many the directory ever had as
/// far as the caller knows: asked again in the same situation, it is the same shard.
pub async fn allocate(
    channel: &Channel,
    prefix: &str,
    ordinal: Option<u32>,
    weight: Option<u32>,
    request: RequestId,
) -> Result<ShardInfo, AllocateError> {
    let message = AllocateShardRequest {
        request_id: request.to_field(),
        prefix: prefix.to_owned(),
        ordinal,
        weight,
    };
    match operator(channel).allocate_shard(message).await {
        Ok(made) => Ok(made.into_inner()),
        Err(status) => Err(match refusal(&status) {
            Some(Why::OrdinalUsed(used)) => AllocateError::Used {
                next: used.next_free,
            },
            Some(_) | None => AllocateError::Call(status),
        }),
    }
}
