//! Accounts: removing and restoring them.
//!
//! Removing frees the address at once and raises the epoch, so that what was routed before is
//! refused; the mail stays until it is purged. An address made again leads to another account.

use tonic::Status;
use wire::address::Canonical;
use wire::ids::AccountId;
use wire::rpc::{Account, AccountState, RemoveAccountRequest, RestoreAccountRequest};

use super::accounts::unknown;
use super::aliases::address_key;
use super::write::{Found, Plan, Request, value};
use super::{Admin, refuse};
use crate::model::Key;
use crate::model::records::{AccountRecord, AddressRecord, address_record};
use crate::moves;
use crate::store::{Expect, Txn};

/// Why the move of an account ends that is removed.
pub(super) const REMOVED: &str = "the account was removed";

impl Admin {
    pub(super) async fn remove_account(
        &self,
        mut message: RemoveAccountRequest,
    ) -> Result<Account, Status> {
        let id = std::mem::take(&mut message.request_id);
        let request = Request::new(&id, "Admin.RemoveAccount", &message)?;
        let address = refuse::address("address", &message.address)?;
        self.write(&request, || self.plan_remove(&address, message.purge))
            .await
    }

    async fn plan_remove(&self, address: &Canonical, purge: bool) -> Result<Plan<Account>, Status> {
        match self.live(address).await {
            Ok((id, found)) => self.plan_removal(id, &found, address, purge).await,
            Err(status) if status.code() == tonic::Code::NotFound => {
                self.plan_purge(address, purge).await
            }
            Err(status) => Err(status),
        }
    }

    /// A live account: its address is free at once; an open move before its switch is aborted.
    async fn plan_removal(
        &self,
        id: AccountId,
        found: &Found<AccountRecord>,
        address: &Canonical,
        purge: bool,
    ) -> Result<Plan<Account>, Status> {
        // What was never durable at its shard has no mail to keep.
        let purge = purge || found.record.state() == AccountState::Creating;
        let state = if purge {
            AccountState::Purging
        } else {
            AccountState::Removed
        };
        let record = AccountRecord {
            removed_at_ms: kit::clock::unix_ms(),
            ..ordered(&found.record, state)
        };
        let here = AddressRecord {
            created_at_ms: 0,
            leads_to: Some(address_record::LeadsTo::Account(id.to_field())),
        };
        let address = self.leading_to(address, &here).await?;
        let txn = address.unchanged(found.unchanged(Txn::new()));
        let txn = txn
            .delete(address.key.clone())
            .put(found.key.clone(), value(&record));
        let txn = drop_credential(txn, id, purge);
        let txn = self.without_move(txn, id, REMOVED).await?;
        Ok(Plan::Commit(txn, self.described(id, &record)))
    }

    /// The address's record, if it still leads where `expected` does.
    async fn leading_to(
        &self,
        address: &Canonical,
        expected: &AddressRecord,
    ) -> Result<Found<AddressRecord>, Status> {
        let found = self.read(Key::Address(address.to_string())).await?;
        found
            .filter(|found: &Found<AddressRecord>| found.record.leads_to == expected.leads_to)
            .ok_or_else(|| unknown(address))
    }

    /// Whatever gives an account another epoch ends its open move.
    pub(super) async fn without_move(
        &self,
        txn: Txn,
        id: AccountId,
        reason: &str,
    ) -> Result<Txn, Status> {
        let txn = moves::without_open_move(txn, &*self.store, id, reason).await;
        txn.map_err(refuse::again)
    }

    /// No live account: the one removed last may be purged.
    async fn plan_purge(&self, address: &Canonical, purge: bool) -> Result<Plan<Account>, Status> {
        self.current().await?;
        let Some((id, found)) = self.removed_last(address).await? else {
            return Err(unknown(address));
        };
        if !purge {
            return Err(Status::not_found(format!(
                "the account {address} was removed already; `--purge` drops its mail now"
            )));
        }
        let record = ordered(&found.record, AccountState::Purging);
        let txn = found
            .unchanged(Txn::new())
            .put(found.key.clone(), value(&record));
        let txn = drop_credential(txn, id, true);
        let txn = self.without_move(txn, id, REMOVED).await?;
        Ok(Plan::Commit(txn, self.described(id, &record)))
    }

    /// The removed account that had this address last; not one that is being purged.
    async fn removed_last(
        &self,
        address: &Canonical,
    ) -> Result<Option<(AccountId, Found<AccountRecord>)>, Status> {
        let ids: Vec<_> = {
            let map = self.shared.read();
            let former = map.former_accounts(address.as_str());
            former.iter().rev().map(|account| account.id()).collect()
        };
        for id in ids {
            let found: Option<Found<AccountRecord>> = self.read(Key::Account(id)).await?;
            if let Some(found) = found
                && found.record.state() == AccountState::Removed
            {
                return Ok(Some((id, found)));
            }
        }
        Ok(None)
    }

    pub(super) async fn restore_account(
        &self,
        mut message: RestoreAccountRequest,
    ) -> Result<Account, Status> {
        let id = std::mem::take(&mut message.request_id);
        let request = Request::new(&id, "Admin.RestoreAccount", &message)?;
        let address = refuse::address("address", &message.address)?;
        let wanted = match message.as_address.as_str() {
            "" => None,
            text => Some(refuse::address("as_address", text)?),
        };
        self.write(&request, || async {
            self.current().await?;
            let Some((id, found)) = self.removed_last(&address).await? else {
                return Err(Status::not_found(format!(
                    "no removed account {address} is kept (mail is kept for 7 days)"
                )));
            };
            self.plan_restore(id, &found, wanted.as_ref().unwrap_or(&address))
                .await
        })
        .await
    }

    async fn plan_restore(
        &self,
        id: AccountId,
        found: &Found<AccountRecord>,
        address: &Canonical,
    ) -> Result<Plan<Account>, Status> {
        let domain = self.domain_for("address", address.domain()).await?;
        if let Err(taken) = self.must_be_free(address).await {
            return Err(Status::failed_precondition(format!(
                "{}; restore the removed account under another address with `--as ADDRESS`",
                taken.message()
            )));
        }
        let record = AccountRecord {
            address: address.to_string(),
            removed_at_ms: 0,
            pending: false,
            ..ordered(&found.record, AccountState::Active)
        };
        let leads_here = AddressRecord {
            created_at_ms: kit::clock::unix_ms(),
            leads_to: Some(address_record::LeadsTo::Account(id.to_field())),
        };
        let key = address_key(address);
        let txn = domain
            .unchanged(found.unchanged(Txn::new()))
            .when(key.clone(), Expect::Absent)
            .put(key, value(&leads_here))
            .put(found.key.clone(), value(&record));
        let txn = self
            .without_move(txn, id, "the account was restored")
            .await?;
        Ok(Plan::Commit(txn, self.described(id, &record)))
    }
}

/// The account in another state, at the next epoch, not yet confirmed by its shard; its open move
/// has to be aborted in the same transaction.
pub(super) fn ordered(record: &AccountRecord, state: AccountState) -> AccountRecord {
    AccountRecord {
        state: state.into(),
        epoch: record.epoch + 1,
        pending: true,
        move_id: Default::default(),
        ..record.clone()
    }
}

/// What is purged has no password to come back with.
pub(super) fn drop_credential(txn: Txn, id: AccountId, purge: bool) -> Txn {
    if purge {
        txn.delete(Key::Credential(id).to_string())
    } else {
        txn
    }
}
