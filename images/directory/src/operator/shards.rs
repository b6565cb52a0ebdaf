//! Shards: made under ordinals that never return, and changed by whoever saw them last.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;
use wire::ids::ShardName;
use wire::rpc::{
    AllocateShardRequest, ListRequest, ListShardsReply, SetShardRequest, ShardInfo, ShardState,
};

use super::{Operator, refuse};
use crate::admin::refuse as refusals;
use crate::admin::shards::{self as known, infos};
use crate::admin::write::{Found, Plan, Request, value};
use crate::model::Key;
use crate::model::records::{OrdinalsRecord, ShardStateRecord};
use crate::store::{Expect, Txn};

/// How long a list waits for the proof that it is current: whoever asks every few seconds would
/// rather have an old one.
const PROOF: Duration = Duration::from_millis(200);

/// Names of shards have six digits at most.
const MAX_ORDINAL: u32 = 999_999;

/// The heaviest shard.
const MAX_WEIGHT: u32 = 1000;

impl Operator {
    pub(super) async fn allocate(
        &self,
        mut message: AllocateShardRequest,
    ) -> Result<ShardInfo, Status> {
        let id = std::mem::take(&mut message.request_id);
        let request = Request::new(&id, "Operator.AllocateShard", &message)?;
        refusals::shard("prefix", &message.prefix)?;
        if message.weight == Some(0) {
            return Err(refusals::invalid(
                "weight",
                "leave it out, or write 1 or more",
            ));
        }
        check_weight(message.weight)?;
        self.admin
            .write(&request, || self.plan_allocation(&message))
            .await
    }

    /// The counter goes past whatever name is taken, by whomever; the transaction names both keys,
    /// so that two calls never get one ordinal.
    async fn plan_allocation(
        &self,
        wanted: &AllocateShardRequest,
    ) -> Result<Plan<ShardInfo>, Status> {
        self.admin.current().await?;
        let counter: Option<Found<OrdinalsRecord>> = self.admin.read(Key::Ordinals).await?;
        let next = counter.as_ref().map_or(0, |found| found.record.next);
        let (ordinal, name) = self.free(&wanted.prefix, wanted.ordinal, next)?;
        let txn = match &counter {
            Some(found) => found.unchanged(Txn::new()),
            None => Txn::new().when(Key::Ordinals.to_string(), Expect::Absent),
        };
        let weight = wanted.weight.unwrap_or_default();
        let record = known::changed(&ShardStateRecord::default(), ShardState::Active, weight);
        let key = Key::ShardState(name.clone()).to_string();
        let next = OrdinalsRecord { next: ordinal + 1 };
        let txn = txn
            .put(Key::Ordinals.to_string(), value(&next))
            .when(key.clone(), Expect::Absent)
            .put(key, value(&record));
        Ok(Plan::Commit(txn, self.admin.info(&name, &record)))
    }

    /// The wanted ordinal or the next one whose name nobody has.
    fn free(
        &self,
        prefix: &str,
        wanted: Option<u32>,
        next: u32,
    ) -> Result<(u32, ShardName), Status> {
        let map = self.admin.shared.read();
        let taken = |name: &ShardName| map.shard(name).is_some_and(|shard| shard.state().is_some());
        let first_free = |from: u32| {
            for ordinal in from..=MAX_ORDINAL {
                let name = refusals::shard("prefix", &format!("{prefix}-{ordinal}"))?;
                if !taken(&name) {
                    return Ok((ordinal, name));
                }
            }
            Err(Status::failed_precondition("all ordinals are used"))
        };
        let Some(wanted) = wanted else {
            return first_free(next);
        };
        if wanted > MAX_ORDINAL {
            return Err(refusals::invalid("ordinal", "write 999999 at most"));
        }
        let found = first_free(wanted.max(next))?;
        match found.0 == wanted {
            true => Ok(found),
            false => Err(refuse::ordinal_used(prefix, wanted, found.0)),
        }
    }

    pub(super) async fn set(&self, mut message: SetShardRequest) -> Result<ShardInfo, Status> {
        let id = std::mem::take(&mut message.request_id);
        let request = Request::new(&id, "Operator.SetShard", &message)?;
        let name = refusals::shard("name", &message.name)?;
        check_weight(message.weight)?;
        self.admin
            .write(&request, || self.plan_change(&name, &message))
            .await
    }

    async fn plan_change(
        &self,
        name: &ShardName,
        wanted: &SetShardRequest,
    ) -> Result<Plan<ShardInfo>, Status> {
        let found = self.admin.shard_state(name).await?;
        let found = found.ok_or_else(|| known::unknown(name))?;
        // The map is now at least at the revision of `found`: since then nothing can have come to a
        // shard that is not Active.
        self.admin.current().await?;
        let before = &found.record;
        if before.generation != wanted.generation {
            return Err(refuse::other_generation(name, before.generation));
        }
        let state = wanted.state.map(|_| wanted.state());
        let state = state.unwrap_or_else(|| before.state());
        let weight = wanted.weight.unwrap_or(before.weight);
        if state == before.state() && weight == before.weight {
            return Ok(Plan::Done(self.admin.info(name, before)));
        }
        if state != before.state() {
            known::check_change(name, before.state(), state)?;
            check_wanted(state)?;
        }
        if state == ShardState::Retired {
            let map = self.admin.shared.read();
            known::check_empty(&map, name)
                .map_err(|sentence| refuse::not_empty(sentence, known::held(&map, name)))?;
        }
        let record = known::changed(before, state, weight);
        let txn = known::without_word(found.unchanged(Txn::new()), name, state);
        let txn = txn.put(found.key.clone(), value(&record));
        Ok(Plan::Commit(txn, self.admin.info(name, &record)))
    }

    pub(super) async fn list(&self, message: &ListRequest) -> Result<ListShardsReply, Status> {
        let proof = self.admin.freshness.prove_current(Instant::now() + PROOF);
        let stale = proof.await.is_err();
        let map = self.admin.shared.read();
        let after = message.after.as_str();
        let shards = infos(&map).filter(|shard| shard.name.as_str() > after);
        let (shards, more) = crate::admin::page(shards, message.limit);
        Ok(ListShardsReply {
            shards,
            more,
            stale,
        })
    }
}

/// That a shard is lost, a person decides.
fn check_wanted(state: ShardState) -> Result<(), Status> {
    match state {
        ShardState::Lost => Err(refusals::invalid(
            "state",
            "an administrator says of a shard that it is lost: `buzonera shard lost NAME`",
        )),
        ShardState::Unspecified
        | ShardState::Active
        | ShardState::Cordoned
        | ShardState::Draining
        | ShardState::Retired => Ok(()),
    }
}

fn check_weight(weight: Option<u32>) -> Result<(), Status> {
    match weight {
        Some(weight) if weight > MAX_WEIGHT => {
            Err(refusals::invalid("weight", "write 1000 at most"))
        }
        Some(_) | None => Ok(()),
    }
}
