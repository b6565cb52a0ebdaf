//! A shard says that it serves, or that it does not.

use prost::Message;
use tonic::Status;
use wire::ids::{Incarnation, ShardName};

use super::Registry;
use super::records::{ATTEMPTS, Found, busy, found};
use crate::model::Key;
use crate::model::records::LeaseRecord;
use crate::store::{Expect, LeaseId, Txn};

impl Registry {
    /// Makes a shard's word known to all replicas, if this one does not know it yet. Beside the
    /// renewal that brought it: a store that takes no writes must end no lease. What is lost here
    /// comes again with the next renewal.
    pub(super) fn hear_serving(&self, shard: &ShardName, incarnation: Incarnation, serving: bool) {
        if self.knows(shard, incarnation, serving) {
            return;
        }
        let (registry, shard) = (self.clone(), shard.clone());
        tokio::spawn(async move {
            let written = registry.write_serving(&shard, incarnation, serving).await;
            if let Err(status) = written {
                tracing::warn!(%shard, serving, %status, "a shard's word was not written");
            }
        });
    }

    fn knows(&self, shard: &ShardName, incarnation: Incarnation, serving: bool) -> bool {
        let map = self.shared.read();
        let lease = map.shard(shard).and_then(|shard| shard.lease());
        lease.is_some_and(|lease| lease.incarnation == incarnation.0 && lease.serving == serving)
    }

    /// On the lease, so that the word ends with it and the next incarnation begins without one.
    async fn write_serving(
        &self,
        shard: &ShardName,
        incarnation: Incarnation,
        serving: bool,
    ) -> Result<(), Status> {
        let key = Key::Lease(shard.clone());
        for _ in 0..ATTEMPTS {
            let entry = self
                .get(std::slice::from_ref(&key))
                .await?
                .into_iter()
                .next()
                .flatten();
            let lease: Option<Found<LeaseRecord>> = entry.map(found).transpose()?;
            let mine = lease.filter(|lease| lease.record.incarnation == incarnation.0);
            let Some(lease) = mine.filter(|lease| lease.record.serving != serving) else {
                return Ok(());
            };
            let record = LeaseRecord {
                serving,
                ..lease.record
            };
            let store_lease = LeaseId(record.store_lease);
            let txn = Txn::new()
                .when(key.to_string(), Expect::At(lease.revision))
                .put_leased(key.to_string(), record.encode_to_vec(), store_lease);
            if self.commit(txn).await? {
                return Ok(());
            }
        }
        Err(busy())
    }
}
