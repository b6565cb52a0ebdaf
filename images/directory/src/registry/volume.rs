//! A shard tells which volume it has opened, and how far its log is durable.
//!
//! The record is the outside witness of what was acknowledged: a starting shard is held against it.
//! It is written beside the lease and is a condition of nothing, so that it delays nothing.

use prost::Message;
use tonic::Status;
use wire::ids::{Incarnation, ShardName};
use wire::rpc::{TellVolumeRequest, Volume};

use super::Registry;
use super::acquire::check_id;
use super::records::{ATTEMPTS, Found, busy, expect, found};
use crate::model::Key;
use crate::model::records::VolumeRecord;
use crate::store::{Expect, Txn};

impl Registry {
    /// Returns when it is recorded.
    pub(super) async fn record_volume(
        &self,
        shard: &ShardName,
        request: &TellVolumeRequest,
    ) -> Result<(), Status> {
        let volume = request.volume.as_ref();
        let volume = volume.ok_or_else(|| Status::invalid_argument("volume: write one"))?;
        check_id(volume)?;
        let incarnation = Incarnation(request.incarnation);
        let mut attempts = 0..ATTEMPTS;
        while !self.record_volume_once(shard, incarnation, volume).await? {
            attempts.next().ok_or_else(busy)?;
        }
        Ok(())
    }

    /// False: something changed meanwhile.
    async fn record_volume_once(
        &self,
        shard: &ShardName,
        incarnation: Incarnation,
        volume: &Volume,
    ) -> Result<bool, Status> {
        // Only the newest run speaks; and the record that is read here is no older than it.
        let newest = self.newest(shard, incarnation).await?;
        let key = Key::Volume(shard.clone());
        let entry = self.get(std::slice::from_ref(&key)).await?.pop().flatten();
        let known: Option<Found<VolumeRecord>> = entry.map(found).transpose()?;
        let record = record(volume);
        let is_known = |known: &Found<VolumeRecord>| {
            VolumeRecord {
                told_at_ms: record.told_at_ms,
                ..known.record.clone()
            } == record
        };
        if known.as_ref().is_some_and(is_known) {
            return Ok(true);
        }
        let key = key.to_string();
        let txn = Txn::new()
            .when(
                Key::Shard(shard.clone()).to_string(),
                Expect::At(newest.revision),
            )
            .when(key.clone(), expect(&known))
            .put(key, record.encode_to_vec());
        self.commit(txn).await
    }
}

fn record(volume: &Volume) -> VolumeRecord {
    VolumeRecord {
        id: volume.id.clone(),
        opened: volume.opened,
        segment: volume.segment,
        offset: volume.offset,
        sum: volume.sum,
        told_at_ms: kit::clock::unix_ms(),
        awaited: false,
        replacing: 0,
    }
}
