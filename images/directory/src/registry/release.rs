//! A shard that ended in order gives its lease back.

use tonic::Status;
use wire::ids::ShardName;
use wire::rpc::{ReleaseLeaseReply, ReleaseLeaseRequest};

use super::Registry;
use super::records::status;
use crate::store::LeaseId;

impl Registry {
    /// Ends the lease of exactly that incarnation, if it is still held.
    pub(super) async fn release(
        &self,
        shard: &ShardName,
        request: &ReleaseLeaseRequest,
    ) -> Result<ReleaseLeaseReply, Status> {
        let held = self.standing(shard).await?.lease;
        let own = held.filter(|held| held.record.incarnation == request.incarnation);
        if let Some(lease) = own {
            let ended = self.store.revoke(LeaseId(lease.record.store_lease)).await;
            ended.map_err(|error| status(&error))?;
            tracing::info!(%shard, incarnation = request.incarnation, "a lease is given back");
        }
        Ok(ReleaseLeaseReply {})
    }
}
