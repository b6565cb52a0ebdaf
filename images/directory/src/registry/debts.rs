//! Debts: what decided moves leave shards to do.
//!
//! A move ends with the transaction that decides it, and that puts a debt of the shard which is not
//! the account's: the source of a move that is done, the target of one that is aborted. The shard is
//! to have nothing of the account that is older than the debt's epoch. It hears of it whenever it is
//! back, so a shard that is away keeps no account and no other shard waiting.
//!
//! | step | who | what |
//! |---|---|---|
//! | put | the move's decision | the shard serves nothing of the account; its data stays |
//! | due | the account's shard has confirmed, under its lease, that it has the account; or the account is gone | the shard drops its data, durably, and keeps a tombstone |
//! | paid | the shard has confirmed that | the record is deleted |
//!
//! The way back: the target of a move that is done finds that it has lost what was verified, before
//! it served any of it. Then it owes too, at the epoch after, so that nothing that was sent before
//! can ever make it serve; and once that is paid, the account goes, at that epoch, to the source,
//! which has kept all of it.

use prost::Message;
use tonic::Status;
use wire::ids::{AccountId, Incarnation, MoveId, ShardName};
use wire::rpc::confirmation::What;
use wire::rpc::{AccountState, ConfirmRequest, Debt};

use super::Registry;
use super::confirm::Said;
use super::records::{ATTEMPTS, Found, busy, found};
use crate::model::Key;
use crate::model::records::{AccountRecord, DebtRecord};
use crate::moves;
use crate::store::{Expect, Txn};

/// Most debts that one call says are paid.
const MAX_PAID: usize = 1000;

/// Debts of one transaction: each has at most five conditions and five writes, and the store takes
/// 128.
const BATCH: usize = 20;

/// What a confirmation means to the shards that keep something of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// They may drop it.
    Due,
    /// The one that has it whole gets it back.
    Returns,
    Nothing,
}

/// Decides; the confirmation is of the account's shard, at its epoch.
pub(super) fn follows(account: &AccountRecord, said: &Said) -> Follows {
    if said.keepers.is_empty() {
        return Follows::Nothing;
    }
    match (said.what, account.state()) {
        (What::Serving, AccountState::Active)
        | (What::Suspended, AccountState::Removed)
        | (What::Dropped, AccountState::Purging) => Follows::Due,
        (What::Missing, AccountState::Active | AccountState::Removed) => Follows::Returns,
        _ => Follows::Nothing,
    }
}

/// A debt that is paid, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Paid {
    account: AccountId,
    move_id: MoveId,
    epoch: u64,
}

impl Registry {
    /// Puts what follows for the keepers that a confirmation of `shard` names.
    pub(super) async fn tell_keepers(
        &self,
        txn: Txn,
        shard: &ShardName,
        said: &Said,
        follows: Follows,
    ) -> Result<Txn, Status> {
        match follows {
            Follows::Nothing => Ok(txn),
            Follows::Due => self.make_due(txn, said).await,
            Follows::Returns => self.order_back(txn, shard, said).await,
        }
    }

    async fn make_due(&self, txn: Txn, said: &Said) -> Result<Txn, Status> {
        let debts = self.kept(said).await?;
        let kept = debts.into_iter().filter(|(_, debt)| !debt.record.due);
        Ok(kept.fold(txn, |txn, (keeper, debt)| {
            let key = Key::Debt(keeper, said.account).to_string();
            let due = DebtRecord {
                due: true,
                ..debt.record
            };
            txn.when(key.clone(), Expect::At(debt.revision))
                .put(key, due.encode_to_vec())
        }))
    }

    /// The account's shard has lost it: it owes, first, that it never serves what it is to have.
    async fn order_back(&self, txn: Txn, shard: &ShardName, said: &Said) -> Result<Txn, Status> {
        let debts = self.kept(said).await?;
        let whole = |(_, debt): &&(ShardName, Found<DebtRecord>)| {
            debt.record.whole && !debt.record.due && debt.record.peer == shard.as_str()
        };
        let newest = debts
            .iter()
            .filter(whole)
            .max_by_key(|(_, debt)| debt.record.epoch);
        let Some((keeper, debt)) = newest else {
            return Ok(txn);
        };
        let key = Key::Debt(shard.clone(), said.account);
        let own = self.get(std::slice::from_ref(&key)).await?.pop().flatten();
        let own: Option<Found<DebtRecord>> = own.map(found).transpose()?;
        let epoch = said.epoch.next().0;
        if own
            .as_ref()
            .is_some_and(|own| own.record.returns && own.record.epoch == epoch)
        {
            return Ok(txn);
        }
        tracing::error!(account = %said.account, %shard, %keeper,
            "the account's new shard has lost it: it goes back");
        let order = DebtRecord {
            move_id: debt.record.move_id.clone(),
            epoch,
            peer: keeper.to_string(),
            whole: false,
            due: true,
            returns: true,
            since_ms: kit::clock::unix_ms(),
        };
        let expected = own.map_or(Expect::Absent, |own| Expect::At(own.revision));
        let key = key.to_string();
        Ok(txn
            .when(key.clone(), expected)
            .put(key, order.encode_to_vec()))
    }

    /// The debts that a confirmation names, those it knows of.
    async fn kept(&self, said: &Said) -> Result<Vec<(ShardName, Found<DebtRecord>)>, Status> {
        let key = |keeper: &ShardName| Key::Debt(keeper.clone(), said.account);
        let keys: Vec<_> = said.keepers.iter().map(key).collect();
        let entries = self.get(&keys).await?;
        let named = said.keepers.iter().cloned().zip(entries);
        let debts = named.filter_map(|(keeper, entry)| {
            let debt = found::<DebtRecord>(entry?);
            Some(debt.map(|debt| (keeper, debt)))
        });
        let debts: Vec<_> = debts.collect::<Result<_, _>>()?;
        let older = |debt: &DebtRecord| debt.epoch <= said.epoch.0;
        Ok(debts
            .into_iter()
            .filter(|(_, debt)| older(&debt.record))
            .collect())
    }

    pub(super) async fn take_payments(
        &self,
        shard: &ShardName,
        request: &ConfirmRequest,
    ) -> Result<(), Status> {
        if request.paid.len() > MAX_PAID {
            let text = format!("paid: send at most {MAX_PAID} at a time");
            return Err(Status::invalid_argument(text));
        }
        let paid: Result<Vec<_>, _> = request.paid.iter().map(read).collect();
        let mut paid = paid?;
        paid.sort_unstable();
        paid.dedup_by_key(|paid| paid.account);
        let incarnation = Incarnation(request.incarnation);
        for batch in paid.chunks(BATCH) {
            let mut attempts = 0..ATTEMPTS;
            while !self.take_batch(shard, incarnation, batch).await? {
                attempts.next().ok_or_else(busy)?;
            }
        }
        Ok(())
    }

    /// False: something changed meanwhile.
    async fn take_batch(
        &self,
        shard: &ShardName,
        incarnation: Incarnation,
        batch: &[Paid],
    ) -> Result<bool, Status> {
        let newest = self.newest(shard, incarnation).await?;
        let key = |paid: &Paid| Key::Debt(shard.clone(), paid.account);
        let keys: Vec<_> = batch.iter().map(key).collect();
        let entries = self.get(&keys).await?;
        let shard_key = Key::Shard(shard.clone()).to_string();
        let mut txn = Txn::new().when(shard_key, Expect::At(newest.revision));
        for (paid, entry) in batch.iter().zip(entries) {
            let debt: Option<Found<DebtRecord>> = entry.map(found).transpose()?;
            let same = |debt: &Found<DebtRecord>| {
                let record = &debt.record;
                record.move_id == paid.move_id.to_field() && record.epoch == paid.epoch
            };
            let Some(debt) = debt.filter(same) else {
                continue;
            };
            let key = key(paid).to_string();
            txn = txn.when(key.clone(), Expect::At(debt.revision));
            txn = match debt.record.returns {
                false => txn.delete(key),
                true => {
                    self.bring_back(txn, shard, paid.account, &debt.record)
                        .await?
                }
            };
        }
        match txn.writes() {
            0 => Ok(true),
            _ => self.commit(txn).await,
        }
    }

    /// What was lost here cannot be served here any more: the account is its source's again.
    async fn bring_back(
        &self,
        txn: Txn,
        shard: &ShardName,
        id: AccountId,
        debt: &DebtRecord,
    ) -> Result<Txn, Status> {
        let own = Key::Debt(shard.clone(), id).to_string();
        let keys = [Key::Account(id), Key::Debt(peer(debt)?, id)];
        let mut entries = self.get(&keys).await?.into_iter();
        let account: Option<Found<AccountRecord>> =
            entries.next().flatten().map(found).transpose()?;
        let kept: Option<Found<DebtRecord>> = entries.next().flatten().map(found).transpose()?;
        let here = account.filter(|account| account.record.shard == shard.as_str());
        let (Some(account), Some(kept)) = (here, kept) else {
            return Ok(txn.delete(own));
        };
        let [account_key, kept_key] = keys.map(|key| key.to_string());
        let txn = txn.when(account_key.clone(), Expect::At(account.revision));
        if account.record.epoch + 1 != debt.epoch {
            // It was removed or restored meanwhile: the promise is asked for at the epoch after.
            let later = DebtRecord {
                epoch: account.record.epoch + 1,
                ..debt.clone()
            };
            return Ok(txn.put(own, later.encode_to_vec()));
        }
        let move_id = MoveId::from_slice(&debt.move_id);
        let move_id = move_id.map_err(|error| Status::data_loss(error.to_string()))?;
        let reason = format!("{shard} lost what it had copied");
        let txn = moves::taken_back(txn, &*self.store, id, move_id, &reason).await;
        let txn = txn.map_err(|error| Status::unavailable(error.to_string()))?;
        let back = AccountRecord {
            shard: debt.peer.clone(),
            epoch: debt.epoch,
            placement: format!("back from {shard}"),
            pending: account.record.state() == AccountState::Removed,
            move_id: Default::default(),
            ..account.record
        };
        tracing::warn!(account = %id, from = %shard, to = debt.peer, "the account is back");
        Ok(txn
            .put(account_key, back.encode_to_vec())
            .when(kept_key.clone(), Expect::At(kept.revision))
            .delete(kept_key)
            .delete(own))
    }
}

fn peer(debt: &DebtRecord) -> Result<ShardName, Status> {
    let name = debt.peer.parse();
    name.map_err(|error| Status::data_loss(format!("a debt's peer: {error}")))
}

fn read(debt: &Debt) -> Result<Paid, Status> {
    let wrong = |error| Status::invalid_argument(format!("paid: {error}"));
    Ok(Paid {
        account: AccountId::from_slice(&debt.account).map_err(wrong)?,
        move_id: MoveId::from_slice(&debt.move_id).map_err(wrong)?,
        epoch: debt.epoch,
    })
}
