//! Reading and writing the records that concern shards.

use prost::Message;
use tonic::Status;
use wire::ids::{Incarnation, ShardName};

use super::Registry;
use crate::lease::Known;
use crate::model::Key;
use crate::model::records::{LeaseRecord, ShardRecord, ShardStateRecord, VolumeRecord};
use crate::store::{Entry, Error, Expect, Outcome, Revision, Txn};

/// How often a write is decided anew when others change what it read.
pub(super) const ATTEMPTS: u32 = 8;

/// A record and the transaction that put it last.
#[derive(Debug, Clone)]
pub(super) struct Found<T> {
    pub(super) record: T,
    pub(super) revision: Revision,
}

/// What the store holds about a shard, and at which revisions.
pub(super) struct Standing {
    pub(super) state: Option<Found<ShardStateRecord>>,
    pub(super) record: Option<Found<ShardRecord>>,
    pub(super) lease: Option<Found<LeaseRecord>>,
    /// Told beside the lease, and no condition of it.
    pub(super) volume: Option<Found<VolumeRecord>>,
}

impl Standing {
    pub(super) fn known(&self) -> Known {
        Known {
            state: self.state.as_ref().map(|found| found.record.state()),
            record: self.record.as_ref().map(|found| found.record.clone()),
            lease: self.lease.as_ref().map(|found| found.record.clone()),
            volume: self.volume.as_ref().map(|found| found.record.clone()),
        }
    }

    /// The conditions that nobody changed the shard's record and lease.
    pub(super) fn unchanged(&self, shard: &ShardName, txn: Txn) -> Txn {
        let txn = txn.when(Key::Shard(shard.clone()).to_string(), expect(&self.record));
        txn.when(Key::Lease(shard.clone()).to_string(), expect(&self.lease))
    }
}

impl Registry {
    pub(super) async fn standing(&self, shard: &ShardName) -> Result<Standing, Status> {
        let keys = [
            Key::ShardState(shard.clone()),
            Key::Shard(shard.clone()),
            Key::Lease(shard.clone()),
            Key::Volume(shard.clone()),
        ];
        let mut entries = self.get(&keys).await?.into_iter();
        let mut next = || entries.next().flatten();
        Ok(Standing {
            state: next().map(found).transpose()?,
            record: next().map(found).transpose()?,
            lease: next().map(found).transpose()?,
            volume: next().map(found).transpose()?,
        })
    }

    /// The shard's record, if `incarnation` is its newest.
    pub(super) async fn newest(
        &self,
        shard: &ShardName,
        incarnation: Incarnation,
    ) -> Result<Found<ShardRecord>, Status> {
        let key = Key::Shard(shard.clone());
        let entry = self.get(&[key]).await?.into_iter().next().flatten();
        let record: Option<Found<ShardRecord>> = entry.map(found).transpose()?;
        match record {
            Some(found) if found.record.incarnation == incarnation.0 => Ok(found),
            other => {
                let newest = other.map_or(0, |found| found.record.incarnation);
                Err(Status::failed_precondition(format!(
                    "this is incarnation {incarnation} of {shard}, and the newest is {newest}"
                )))
            }
        }
    }

    pub(super) async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>, Status> {
        let keys = keys.iter().map(Key::to_string).collect();
        self.store.get(keys).await.map_err(|error| status(&error))
    }

    /// False: something changed meanwhile, or nobody knows; read again.
    pub(super) async fn commit(&self, txn: Txn) -> Result<bool, Status> {
        match self.store.commit(txn).await {
            Ok(Outcome::Committed(_)) => Ok(true),
            Ok(Outcome::Conflict) | Err(Error::Unknown(_)) => Ok(false),
            Err(error) => Err(status(&error)),
        }
    }
}

pub(super) fn found<T: Message + Default>(entry: Entry) -> Result<Found<T>, Status> {
    match T::decode(entry.value) {
        Ok(record) => Ok(Found {
            record,
            revision: entry.revision,
        }),
        Err(error) => {
            tracing::error!(key = entry.key, %error, "a record cannot be read");
            let text = format!("the store's {} cannot be read", entry.key);
            Err(Status::data_loss(text))
        }
    }
}

pub(super) fn expect<T>(found: &Option<Found<T>>) -> Expect {
    found
        .as_ref()
        .map_or(Expect::Absent, |found| Expect::At(found.revision))
}

/// A store's failure, as the caller sees it: it tries again.
pub(super) fn status(error: &Error) -> Status {
    Status::unavailable(error.to_string())
}

/// Others kept changing what was read.
pub(super) fn busy() -> Status {
    Status::unavailable("others kept changing what this needs; ask again")
}
