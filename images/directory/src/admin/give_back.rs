//! Shards: what was moved to one whose volume is replaced, and is still whole where it came from,
//! goes back there.
//!
//! The source of a move that is done keeps all it had until the target has said that it has the
//! account. When that word is not recorded, the source's is the only copy that is known of: an empty
//! volume would begin the account anew, say that it has it, and let the source drop it. So the
//! account is the source's again, at a later epoch, and at later UIDVALIDITYs, since the target may
//! have given UIDs meanwhile; and the target owes that it drops whatever its next volume has of it.

use tonic::Status;
use wire::ids::{AccountId, MoveId, ShardName};
use wire::rpc::AccountState;

use super::replace::{ATTEMPTS, busy, later_uid_validity};
use super::write::{Found, value};
use super::{Admin, refuse};
use crate::map::Map;
use crate::model::Key;
use crate::model::records::{AccountRecord, DebtRecord};
use crate::moves;
use crate::store::{Expect, Txn};

/// An account, and the shard that keeps it whole.
struct Kept {
    account: AccountId,
    keeper: ShardName,
}

impl Admin {
    /// Gives back every account of the shard that another keeps; `since` is what their UIDVALIDITYs
    /// are to be, at least.
    pub(super) async fn give_back_all(&self, name: &ShardName, since: u64) -> Result<(), Status> {
        let kept: Vec<Kept> = {
            let map = self.shared.read();
            let accounts = map.accounts_of(name).map(|account| account.id());
            let kept = accounts.filter_map(|account| kept(&map, name, account));
            kept.collect()
        };
        for kept in kept {
            let mut attempts = 0..ATTEMPTS;
            while !self.give_back(name, &kept, since).await? {
                attempts.next().ok_or_else(busy)?;
            }
        }
        Ok(())
    }

    /// False: something changed meanwhile.
    async fn give_back(&self, name: &ShardName, kept: &Kept, since: u64) -> Result<bool, Status> {
        let Kept { account, keeper } = kept;
        let found: Option<Found<AccountRecord>> = self.read(Key::Account(*account)).await?;
        let [own, others] = [name, keeper].map(|shard| Key::Debt(shard.clone(), *account));
        let debt: Option<Found<DebtRecord>> = self.read(others).await?;
        let (Some(found), Some(debt)) = (found, debt) else {
            return Ok(true);
        };
        if found.record.shard != name.as_str() || !goes_back(found.record.state()) {
            return Ok(true);
        }
        let back = back(&found.record, name, keeper, since);
        let owed = DebtRecord {
            move_id: debt.record.move_id.clone(),
            epoch: back.epoch,
            peer: keeper.to_string(),
            whole: false,
            due: true,
            returns: false,
            since_ms: kit::clock::unix_ms(),
        };
        let txn = debt.unchanged(found.unchanged(Txn::new()));
        let txn = self.unchanged(txn, own.clone()).await?;
        let move_id = MoveId::from_slice(&debt.record.move_id)
            .map_err(|error| Status::data_loss(error.to_string()))?;
        let reason = format!("the volume of {name} was replaced");
        let txn = moves::taken_back(txn, &*self.store, *account, move_id, &reason).await;
        let txn = txn
            .map_err(refuse::again)?
            .put(found.key, value(&back))
            .put(own.to_string(), value(&owed))
            .delete(debt.key);
        let is_back = self.step(txn).await?.is_some();
        if is_back {
            tracing::warn!(%account, from = %name, to = %keeper, "the account is back");
        }
        Ok(is_back)
    }

    /// What the shard owes already is replaced: that is older.
    async fn unchanged(&self, txn: Txn, own: Key) -> Result<Txn, Status> {
        let key = own.to_string();
        let found: Option<Found<DebtRecord>> = self.read(own).await?;
        Ok(match found {
            Some(found) => found.unchanged(txn),
            None => txn.when(key, Expect::Absent),
        })
    }
}

/// By the newest of its moves to the shard, whose word that it has the account is missing.
fn kept(map: &Map, name: &ShardName, account: AccountId) -> Option<Kept> {
    let debts = map
        .keepers(account)
        .filter_map(|keeper| Some((keeper, map.debt(keeper, account)?)));
    let whole = debts.filter(|(_, debt)| debt.whole && debt.peer == name.as_str());
    let (keeper, _) = whole.max_by_key(|(_, debt)| debt.epoch)?;
    Some(Kept {
        account,
        keeper: keeper.clone(),
    })
}

/// What is being made has nothing elsewhere, and what is being purged needs nothing.
fn goes_back(state: AccountState) -> bool {
    match state {
        AccountState::Active | AccountState::Removed => true,
        AccountState::Creating | AccountState::Purging | AccountState::Unspecified => false,
    }
}

fn back(record: &AccountRecord, from: &ShardName, to: &ShardName, since: u64) -> AccountRecord {
    AccountRecord {
        shard: to.to_string(),
        epoch: record.epoch + 1,
        placement: format!("back from {from}"),
        pending: record.state() == AccountState::Removed,
        move_id: Default::default(),
        uid_validity: later_uid_validity(record, since),
        ..record.clone()
    }
}
