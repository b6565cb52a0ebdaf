//! The store and the replica of a driver, behind a gate.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use buzonera_directory::model::records::MoveRecord;
use buzonera_directory::moves::{Replica, World};
use buzonera_directory::store::{
    Alarm, Answer, Changes, Entry, Error, Key, LeaseId, Load, Outcome, Revision, SharedStore,
    Store, Txn,
};
use kit::rpc::{BadEndpoint, Channel};
use prost::Message as _;
use wire::ids::{AccountId, ShardName};
use wire::rpc::{MoveLimits, MovePhase};

use super::gate::Gate;

/// The store, with the writes of moves through the gate.
pub(crate) struct GatedStore {
    pub(crate) inner: SharedStore,
    pub(crate) gate: Arc<Gate>,
}

/// The move's record that a transaction writes, and its key.
fn written(txn: &Txn) -> Option<(&str, MoveRecord)> {
    let put = txn.puts.iter().find(|put| put.key.starts_with("moves/"))?;
    Some((&put.key, MoveRecord::decode(put.value.clone()).unwrap()))
}

fn name(record: &MoveRecord) -> String {
    let more = match record.phase() {
        MovePhase::Fencing if record.source_incarnation > 0 => ", fenced",
        _ => "",
    };
    let phase = record.phase().as_str_name();
    let phase = phase.trim_start_matches("MOVE_PHASE_").to_lowercase();
    format!("write {phase}{more}")
}

impl Store for GatedStore {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn load(&self) -> Answer<'_, Load> {
        self.inner.load()
    }

    fn get(&self, keys: Vec<Key>) -> Answer<'_, Vec<Option<Entry>>> {
        self.inner.get(keys)
    }

    fn watch(
        &self,
        after: Revision,
    ) -> futures::stream::BoxStream<'static, Result<Changes, Error>> {
        self.inner.watch(after)
    }

    fn head(&self) -> Answer<'_, Revision> {
        self.inner.head()
    }

    fn commit(&self, txn: Txn) -> Answer<'_, Outcome> {
        let Some((key, record)) = written(&txn) else {
            return self.inner.commit(txn);
        };
        self.gate.writes(key, record.phase());
        let name = name(&record);
        Box::pin(self.gate.effect(name, self.inner.commit(txn)))
    }

    fn grant(&self, ttl: Duration) -> Answer<'_, LeaseId> {
        self.inner.grant(ttl)
    }

    fn keep_alive(&self, lease: LeaseId) -> Answer<'_, Duration> {
        self.inner.keep_alive(lease)
    }

    fn revoke(&self, lease: LeaseId) -> Answer<'_, ()> {
        self.inner.revoke(lease)
    }

    fn alarms(&self) -> Answer<'_, Vec<Alarm>> {
        self.inner.alarms()
    }
}

/// A replica whose calls to shards go through gates.
pub(crate) struct GatedWorld {
    pub(crate) replica: Replica,
    /// The gate before each shard.
    pub(crate) gates: HashMap<ShardName, String>,
    pub(crate) gate: Arc<Gate>,
}

impl World for GatedWorld {
    fn limits(&self) -> MoveLimits {
        self.replica.limits()
    }

    fn bringing(&self, target: &ShardName, except: AccountId) -> u64 {
        self.replica.bringing(target, except)
    }

    fn open_moves(&self) -> Vec<(AccountId, MovePhase)> {
        self.replica.open_moves()
    }

    fn ends(&self, account: AccountId) -> Option<(ShardName, ShardName)> {
        self.replica.ends(account)
    }

    fn holds_lease(&self, shard: &ShardName) -> bool {
        self.replica.holds_lease(shard)
    }

    async fn changed(&self) {
        self.replica.changed().await;
    }

    fn channel(&self, shard: &ShardName, _endpoint: &str) -> Result<Channel, BadEndpoint> {
        self.replica.channel(shard, &self.gates[shard])
    }

    fn now_ms(&self) -> i64 {
        self.replica.now_ms() + self.gate.taken_ms()
    }
}
