//! Where an account is, with the proof that nothing newer is known.

use tokio::time::Instant;
use tonic::Status;
use wire::answer::NotMe;
use wire::ids::{AccountId, Incarnation, ShardName};
use wire::rpc::{LocateReply, LocateRequest};

use super::watch::{entries, refuse_if_superseded};
use super::{LOCATE, Registry};
use crate::contact::refused;

impl Registry {
    /// A replica that cannot prove it says "not me".
    pub(super) async fn proven_entry(
        &self,
        shard: &ShardName,
        request: &LocateRequest,
    ) -> Result<LocateReply, Status> {
        let account = AccountId::from_slice(&request.account);
        let account = account.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let deadline = Instant::now() + self.config.proof.min(LOCATE);
        let proof = self.freshness.prove_current(deadline).await;
        proof.map_err(|_| refused(NotMe::OutOfTouch))?;
        let map = self.shared.read();
        refuse_if_superseded(&map, shard, Incarnation(request.incarnation))?;
        let entry = entries(&map, &[account]).pop();
        Ok(LocateReply { entry })
    }
}
