//! A shard prolongs its lease; nothing else is read or written for that.

use tonic::Status;
use wire::ids::{Incarnation, ShardName};
use wire::rpc::renew_lease_reply::Result as Answer;
use wire::rpc::{LeaseGranted, RenewLeaseReply, RenewLeaseRequest};

use super::Registry;
use super::records::{ATTEMPTS, Standing, busy, status};
use crate::lease::{Renewal, renew};
use crate::model::records::ShardRecord;
use crate::store::{Error, LeaseId, Txn};

impl Registry {
    pub(super) async fn renew(
        &self,
        shard: &ShardName,
        request: &RenewLeaseRequest,
    ) -> Result<RenewLeaseReply, Status> {
        let incarnation = Incarnation(request.incarnation);
        let answer = self.prolong(shard, incarnation).await?;
        if let Answer::Renewed(_) = &answer {
            self.hear_serving(shard, incarnation, request.serving);
        }
        Ok(RenewLeaseReply {
            result: Some(answer),
        })
    }

    async fn prolong(&self, shard: &ShardName, incarnation: Incarnation) -> Result<Answer, Status> {
        for _ in 0..ATTEMPTS {
            let (standing, kept) = tokio::join!(
                self.standing(shard),
                self.keep_alive_as_mapped(shard, incarnation)
            );
            let standing = standing?;
            let renewed = match renew(&standing.known(), incarnation) {
                Renewal::SupersededBy(newest) => return Ok(Answer::SupersededBy(newest.0)),
                Renewal::Behind(newest) => return Err(behind(shard, incarnation, newest)),
                Renewal::Prolong(lease) => match kept {
                    Some((mapped, kept)) if mapped == lease => kept?,
                    Some(_) | None => self.keep_alive(incarnation, lease).await?,
                },
                Renewal::GrantAgain => None,
            };
            if let Some(granted) = renewed {
                return Ok(Answer::Renewed(granted));
            }
            if let Some(granted) = self.grant_again(shard, incarnation, &standing).await? {
                tracing::info!(%shard, %incarnation, "a lease that had run out is granted again");
                return Ok(Answer::Renewed(granted));
            }
        }
        Err(busy())
    }

    /// Prolongs the lease that the map knows of, beside the question how things stand: where a disk
    /// is slow, each question to the store takes seconds. The lease counts only if the answer to that
    /// names it.
    async fn keep_alive_as_mapped(
        &self,
        shard: &ShardName,
        incarnation: Incarnation,
    ) -> Option<(LeaseId, Result<Option<LeaseGranted>, Status>)> {
        let lease = {
            let map = self.shared.read();
            let lease = map.shard(shard)?.lease()?;
            (lease.incarnation == incarnation.0).then_some(LeaseId(lease.store_lease))
        }?;
        Some((lease, self.keep_alive(incarnation, lease).await))
    }

    /// None: it has just ended.
    async fn keep_alive(
        &self,
        incarnation: Incarnation,
        lease: LeaseId,
    ) -> Result<Option<LeaseGranted>, Status> {
        match self.store.keep_alive(lease).await {
            Ok(kept) => Ok(Some(self.lease_granted(incarnation, kept))),
            Err(Error::LeaseGone) => Ok(None),
            Err(error) => Err(status(&error)),
        }
    }

    async fn grant_again(
        &self,
        shard: &ShardName,
        incarnation: Incarnation,
        standing: &Standing,
    ) -> Result<Option<LeaseGranted>, Status> {
        let record = standing.record.as_ref();
        let run = record.map_or_else(ShardRecord::default, |found| found.record.clone());
        let run = ShardRecord {
            incarnation: incarnation.0,
            ..run
        };
        let txn = standing.unchanged(shard, Txn::new());
        self.lease(shard, &run, txn).await
    }
}

fn behind(shard: &ShardName, incarnation: Incarnation, newest: Incarnation) -> Status {
    tracing::error!(%shard, %incarnation, %newest, "the store is older than a shard that runs");
    Status::failed_precondition(format!(
        "this is incarnation {incarnation} of {shard}, and the directory knows only {newest}: its \
         store is older than the shard"
    ))
}
