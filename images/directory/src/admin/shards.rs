//! Shards: their states.

use tonic::Status;
use wire::ids::ShardName;
use wire::rpc::{
    AddShardRequest, ListRequest, ListShardsReply, NotEmpty, SetShardStateRequest, ShardInfo,
    ShardState,
};

use super::write::{Found, Plan, Request, value};
use super::{Admin, page, refuse};
use crate::map::{Map, Shard};
use crate::model::Key;
use crate::model::records::{LeaseRecord, MoveRecord, ShardStateRecord};
use crate::store::{Expect, Txn};

impl Admin {
    pub(super) async fn add_shard(
        &self,
        mut message: AddShardRequest,
    ) -> Result<ShardInfo, Status> {
        let id = std::mem::take(&mut message.request_id);
        let request = Request::new(&id, "Admin.AddShard", &message)?;
        let name = refuse::shard("name", &message.name)?;
        self.write(&request, || self.plan_shard(&name)).await
    }

    /// What is answered of a shard comes from the map, so that has to be current first.
    async fn plan_shard(&self, name: &ShardName) -> Result<Plan<ShardInfo>, Status> {
        self.current().await?;
        let Some(found) = self.shard_state(name).await? else {
            let key = Key::ShardState(name.clone()).to_string();
            let record = changed(&ShardStateRecord::default(), ShardState::Active, 0);
            let txn = Txn::new()
                .when(key.clone(), Expect::Absent)
                .put(key, value(&record));
            return Ok(Plan::Commit(txn, self.info(name, &record)));
        };
        if let Some(state) = ended(found.record.state()) {
            return Err(Status::failed_precondition(format!(
                "{name} is {state}, and names of shards are never used again: choose another name"
            )));
        }
        Ok(Plan::Done(self.info(name, &found.record)))
    }

    pub(super) async fn set_shard_state(
        &self,
        mut message: SetShardStateRequest,
    ) -> Result<ShardInfo, Status> {
        let id = std::mem::take(&mut message.request_id);
        let request = Request::new(&id, "Admin.SetShardState", &message)?;
        let name = refuse::shard("name", &message.name)?;
        let wanted = message.state();
        self.write(&request, || async {
            let found = self.shard_state(&name).await?;
            let found = found.ok_or_else(|| unknown(&name))?;
            // The map is now at least at the revision of `found`: since then nothing can have come
            // to a shard that is not Active.
            self.current().await?;
            let now = found.record.state();
            if now == wanted {
                return Ok(Plan::Done(self.info(&name, &found.record)));
            }
            check_change(&name, now, wanted)?;
            if wanted == ShardState::Retired {
                check_empty(&self.shared.read(), &name)?;
            }
            let record = changed(&found.record, wanted, found.record.weight);
            let txn = found.unchanged(Txn::new());
            let txn = match wanted {
                ShardState::Lost => self.without_lease(txn, &name).await?,
                ShardState::Unspecified
                | ShardState::Active
                | ShardState::Cordoned
                | ShardState::Draining
                | ShardState::Retired => txn,
            };
            let txn = without_word(txn, &name, wanted);
            let txn = txn.put(found.key.clone(), value(&record));
            Ok(Plan::Commit(txn, self.info(&name, &record)))
        })
        .await
    }

    /// A shard that holds its lease is not lost, and one that is lost never gets it again.
    async fn without_lease(&self, txn: Txn, name: &ShardName) -> Result<Txn, Status> {
        let key = Key::Lease(name.clone());
        if self.read::<LeaseRecord>(key.clone()).await?.is_some() {
            return Err(Status::failed_precondition(format!(
                "{name} holds its lease: it is not lost. Drain it, or stop it for good first"
            )));
        }
        Ok(txn.when(key.to_string(), Expect::Absent))
    }

    pub(crate) async fn shard_state(
        &self,
        name: &ShardName,
    ) -> Result<Option<Found<ShardStateRecord>>, Status> {
        self.read(Key::ShardState(name.clone())).await
    }

    pub(super) async fn list_shards(
        &self,
        message: ListRequest,
    ) -> Result<ListShardsReply, Status> {
        self.current().await?;
        let map = self.shared.read();
        let after = message.after.as_str();
        let shards = infos(&map).filter(|shard| shard.name.as_str() > after);
        let (shards, more) = page(shards, message.limit);
        Ok(ListShardsReply {
            shards,
            more,
            stale: false,
        })
    }

    /// A shard as it is once `record` is its state.
    pub(crate) fn info(&self, name: &ShardName, record: &ShardStateRecord) -> ShardInfo {
        let map = self.shared.read();
        let info = map.shard(name).map(|shard| info(&map, shard));
        ShardInfo {
            name: name.to_string(),
            state: record.state,
            generation: record.generation,
            weight: record.weight,
            ..info.unwrap_or_default()
        }
    }
}

/// Every shard that was added.
pub(crate) fn infos(map: &Map) -> impl Iterator<Item = ShardInfo> + '_ {
    let added = map.shards().filter(|shard| shard.state().is_some());
    added.map(|shard| info(map, shard))
}

fn info(map: &Map, shard: &Shard) -> ShardInfo {
    let record = shard.record();
    let load = shard.load().copied().unwrap_or_default();
    let opening = shard.opening();
    let moves = |names: fn(&MoveRecord) -> &str| {
        let named = |record: &MoveRecord| names(record) == shard.name().as_str();
        let open = map.open_moves();
        open.filter(|(_, record)| named(record)).count() as u64
    };
    let state = shard.state_record().cloned().unwrap_or_default();
    ShardInfo {
        name: shard.name().to_string(),
        state: state.state,
        generation: state.generation,
        weight: state.weight,
        accounts_by_state: Some(shard.accounts_by_state()),
        load_age_ms: shard.load_told_at_ms().map(age_ms),
        release: record.map_or_else(String::new, |record| record.release.clone()),
        node: record.map_or_else(String::new, |record| record.node.clone()),
        incarnation: record.map_or(0, |record| record.incarnation),
        live: shard.lease().is_some(),
        rpc_endpoint: record.map_or_else(String::new, |record| record.rpc_endpoint.clone()),
        accounts: shard.accounts(),
        bytes: load.bytes,
        messages: load.messages,
        volume_size: load.volume_size,
        volume_free: load.volume_free,
        moves_in: moves(|record| &record.target),
        moves_out: moves(|record| &record.source),
        nearly_full: load.nearly_full,
        serving: shard.is_serving(),
        debts: map.payable_debts(shard.name()),
        volume_id: record.map_or_else(String::new, |record| hex(&record.volume_id)),
        read_only: load.read_only,
        opening: opening.and_then(|record| record.opening),
        opening_age_ms: opening.map(|record| age_ms(record.told_at_ms)),
    }
}

/// Octets in hexadecimal.
fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// By the clock of whichever replica wrote it down; 0 for a moment that is yet to come.
fn age_ms(at_ms: i64) -> u64 {
    u64::try_from(kit::clock::unix_ms() - at_ms).unwrap_or(0)
}

/// The next record of a shard's state.
pub(crate) fn changed(
    before: &ShardStateRecord,
    state: ShardState,
    weight: u32,
) -> ShardStateRecord {
    ShardStateRecord {
        state: state.into(),
        changed_at_ms: kit::clock::unix_ms(),
        generation: before.generation + 1,
        weight,
    }
}

/// In a word, a state that never ends.
fn ended(state: ShardState) -> Option<&'static str> {
    match state {
        ShardState::Retired => Some("Retired"),
        ShardState::Lost => Some("Lost"),
        ShardState::Unspecified
        | ShardState::Active
        | ShardState::Cordoned
        | ShardState::Draining => None,
    }
}

/// A shard that has ended opens no volume any more: what its last process said of that goes with it.
pub(crate) fn without_word(txn: Txn, name: &ShardName, state: ShardState) -> Txn {
    match ended(state) {
        Some(_) => txn.delete(Key::Opening(name.clone()).to_string()),
        None => txn,
    }
}

/// Which change is allowed: anything between Active, Cordoned and Draining; Retired from the last
/// two, Lost from all three, and never back from those.
pub(crate) fn check_change(
    name: &ShardName,
    now: ShardState,
    wanted: ShardState,
) -> Result<(), Status> {
    use ShardState::{Active, Cordoned, Draining, Lost, Retired, Unspecified};
    if let Some(state) = ended(now) {
        return Err(Status::failed_precondition(format!(
            "{name} is {state} for good; add a shard of another name"
        )));
    }
    match (now, wanted) {
        (_, Active | Cordoned | Draining | Lost) | (Cordoned | Draining, Retired) => Ok(()),
        (_, Unspecified) => {
            let why = "write ACTIVE, CORDONED, DRAINING, RETIRED or LOST";
            Err(refuse::invalid("state", why))
        }
        (_, Retired) => Err(Status::failed_precondition(format!(
            "{name} still takes accounts: cordon or drain it first"
        ))),
    }
}

/// No account, in any state, and no open move names the shard, and it owes nothing.
pub(crate) fn check_empty(map: &Map, name: &ShardName) -> Result<(), Status> {
    let accounts = map.shard(name).map_or(0, Shard::accounts);
    let (moves, debts) = (open_moves(map, name), map.payable_debts(name));
    if accounts == 0 && moves == 0 && debts == 0 {
        return Ok(());
    }
    let has = refuse::counted(&[
        (
            accounts,
            "account (removed ones count)",
            "accounts (removed ones count)",
        ),
        (moves, "open move", "open moves"),
        (
            debts,
            "account to drop what a move left of it",
            "accounts to drop what moves left of them",
        ),
    ]);
    Err(Status::failed_precondition(format!(
        "{name} still has {has}"
    )))
}

/// What a shard holds, for programs.
pub(crate) fn held(map: &Map, name: &ShardName) -> NotEmpty {
    NotEmpty {
        accounts: map.shard(name).map(Shard::accounts_by_state),
        open_moves: open_moves(map, name),
        debts: map.payable_debts(name),
    }
}

fn open_moves(map: &Map, name: &ShardName) -> u64 {
    let names =
        |record: &MoveRecord| record.source == name.as_str() || record.target == name.as_str();
    map.open_moves().filter(|(_, record)| names(record)).count() as u64
}

pub(crate) fn unknown(name: &ShardName) -> Status {
    Status::not_found(format!(
        "there is no shard {name}; `buzonera shards` lists them"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_state() {
        let name: ShardName = "shard-1".parse().unwrap();
        let all = [
            ShardState::Active,
            ShardState::Cordoned,
            ShardState::Draining,
            ShardState::Retired,
            ShardState::Lost,
        ];
        for now in all {
            for wanted in all.into_iter().filter(|wanted| *wanted != now) {
                let allowed = ended(now).is_none()
                    && (wanted != ShardState::Retired || now != ShardState::Active);
                assert_eq!(
                    check_change(&name, now, wanted).is_ok(),
                    allowed,
                    "{now:?} {wanted:?}"
                );
            }
            assert!(check_change(&name, now, ShardState::Unspecified).is_err());
        }
    }
}
