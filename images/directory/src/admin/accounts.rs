//! Accounts: making and changing them.

use kit::task::NoAnswer;
use plan::{Balance, NoPlace};
use prost::Message as _;
use tonic::Status;
use wire::address::Canonical;
use wire::ids::{AccountId, ShardName};
use wire::rpc::{
    Account, AccountState, AddAccountRequest, Quota, SetPasswordRequest, SetQuotaRequest,
    ShardState,
};
use wire::secret::Secret;

use super::aliases::address_key;
use super::shown::describe;
use super::write::{Found, Plan, Request, value};
use super::{Admin, refuse};
use crate::credential::HashError;
use crate::map::Map;
use crate::model::Key;
use crate::model::records::{
    AccountRecord, AddressRecord, CredentialRecord, ShardStateRecord, address_record,
};
use crate::placement;
use crate::store::{Expect, Txn};

/// What an administrator reads when a shard was named by a person.
const BY_ADMINISTRATOR: &str = "chosen by an administrator";

/// A new account, before it is written.
pub(super) struct New<'a> {
    pub(super) id: AccountId,
    pub(super) address: &'a Canonical,
    pub(super) quota: Quota,
    /// PHC string; empty: no password.
    pub(super) phc: &'a str,
}

impl Admin {
    pub(super) async fn add_account(
        &self,
        mut message: AddAccountRequest,
    ) -> Result<Account, Status> {
        let id = std::mem::take(&mut message.request_id);
        let password = Secret::new(std::mem::take(&mut message.password));
        let request = Request::new(&id, "Admin.AddAccount", &message)?;
        let address = refuse::address("address", &message.address)?;
        let shard = match message.shard.as_str() {
            "" => None,
            name => Some(refuse::shard("shard", name)?),
        };
        // Before the slow hash: what is refused is refused at once, what was done is not redone.
        if self.earlier::<Account>(&request).await?.is_none() {
            self.domain_for("address", address.domain()).await?;
            self.must_be_free(&address).await?;
        }
        let phc = self.hashed(&password).await?;
        let new = New {
            id: AccountId::random(),
            address: &address,
            quota: message.quota.unwrap_or_default(),
            phc: &phc,
        };
        let made: Account = self
            .write(&request, || async {
                self.plan_account(&new, shard.as_ref()).await
            })
            .await?;
        self.until_created(made).await
    }

    async fn plan_account(
        &self,
        new: &New<'_>,
        shard: Option<&ShardName>,
    ) -> Result<Plan<Account>, Status> {
        let domain = self.domain_for("address", new.address.domain()).await?;
        self.must_be_free(new.address).await?;
        let mut balance = placement::balance(&self.shared.read());
        let (shard, why) = self.place(&mut balance, shard).await?;
        let record = record_of(new, &shard.name, why);
        let txn = shard.state.unchanged(domain.unchanged(Txn::new()));
        let reply = describe(&self.shared.read(), new.id, &record, !new.phc.is_empty());
        Ok(Plan::Commit(put_account(txn, new, &record), reply))
    }

    /// The shard asked for, or the policy's choice; it is Active at the revision that is returned.
    pub(super) async fn place(
        &self,
        balance: &mut Balance,
        wanted: Option<&ShardName>,
    ) -> Result<(Placed, String), Status> {
        let (name, why) = match wanted {
            Some(name) => (name.clone(), BY_ADMINISTRATOR.to_owned()),
            None => {
                let place = balance.place().map_err(no_place)?;
                (place.shard, format!("LeastLoaded of {}", place.of))
            }
        };
        let state: Option<Found<ShardStateRecord>> =
            self.read(Key::ShardState(name.clone())).await?;
        match state {
            Some(state) if state.record.state() == ShardState::Active => {
                Ok((Placed { name, state }, why))
            }
            // The policy's choice comes from the map, which may lag a moment behind.
            Some(_) if wanted.is_none() => Err(refuse::again(format!(
                "{name} stops taking accounts just now"
            ))),
            Some(_) => {
                let sentence = format!("shard: {name} takes no new accounts; choose an Active one");
                Err(Status::failed_precondition(sentence))
            }
            None => {
                let sentence = format!("shard: there is no shard {name}");
                Err(Status::not_found(sentence))
            }
        }
    }

    pub(super) async fn hashed(&self, password: &Secret) -> Result<String, Status> {
        if password.is_empty() {
            return Ok(String::new());
        }
        if password.is_too_long() {
            return Err(refuse::invalid("password", "it has more than 1,024 octets"));
        }
        let hash = self.pool.hash(password.clone()).await;
        hash.map_err(|error| match error {
            HashError::Argon2(_) => Status::internal(error.to_string()),
            HashError::NoAnswer(NoAnswer::Stopped) => refuse::again(error),
            HashError::NoAnswer(no_answer @ NoAnswer::Panicked) => no_answer.into(),
        })
    }

    /// Waits until the account's shard has it durably, not longer than configured.
    async fn until_created(&self, made: Account) -> Result<Account, Status> {
        let Some(id) = account_id(&made) else {
            return Ok(made);
        };
        self.until_active(&[id]).await;
        match self.read(Key::Account(id)).await? {
            Some(found) => Ok(self.described(id, &found.record)),
            None => Ok(made),
        }
    }

    /// Waits until none of these is Creating in the map, not longer than configured.
    pub(super) async fn until_active(&self, ids: &[AccountId]) {
        let mut reached = self.shared.reached();
        let active = async {
            while any_creating(&self.shared.read(), ids) {
                if reached.changed().await.is_err() {
                    return;
                }
            }
        };
        // Late: the answer says Creating.
        drop(tokio::time::timeout(self.config.create_wait, active).await);
    }

    pub(super) async fn set_password(
        &self,
        mut message: SetPasswordRequest,
    ) -> Result<Account, Status> {
        let id = std::mem::take(&mut message.request_id);
        let password = Secret::new(std::mem::take(&mut message.password));
        let request = Request::new(&id, "Admin.SetPassword", &message)?;
        let address = refuse::address("address", &message.address)?;
        if password.is_empty() {
            return Err(refuse::invalid("password", "it is empty"));
        }
        // Before the slow hash: what was done is not redone, whatever became of the account.
        if let Some(done) = self.earlier(&request).await? {
            return Ok(done);
        }
        self.live(&address).await?;
        let record = CredentialRecord {
            phc: self.hashed(&password).await?,
            changed_at_ms: kit::clock::unix_ms(),
        };
        self.write(&request, || async {
            let (id, found) = self.live(&address).await?;
            let key = Key::Credential(id).to_string();
            let txn = found.unchanged(Txn::new()).put(key, value(&record));
            let mut reply = self.described(id, &found.record);
            reply.has_password = true;
            Ok(Plan::Commit(txn, reply))
        })
        .await
    }

    pub(super) async fn set_quota(&self, mut message: SetQuotaRequest) -> Result<Account, Status> {
        let id = std::mem::take(&mut message.request_id);
        let request = Request::new(&id, "Admin.SetQuota", &message)?;
        let address = refuse::address("address", &message.address)?;
        self.write(&request, || async {
            let (id, found) = self.live(&address).await?;
            let record = AccountRecord {
                quota: Some(message.quota.unwrap_or_default()),
                ..found.record.clone()
            };
            let txn = found
                .unchanged(Txn::new())
                .put(found.key.clone(), value(&record));
            Ok(Plan::Commit(txn, self.described(id, &record)))
        })
        .await
    }

    /// The account that an address leads to now, as the store has it.
    pub(super) async fn live(
        &self,
        address: &Canonical,
    ) -> Result<(AccountId, Found<AccountRecord>), Status> {
        let key = Key::Address(address.to_string());
        let found: Option<Found<AddressRecord>> = self.read(key).await?;
        let leads_to = found.and_then(|found| found.record.leads_to);
        let Some(address_record::LeadsTo::Account(id)) = leads_to else {
            return Err(match leads_to {
                Some(_) => is_alias(address),
                None => unknown(address),
            });
        };
        let id =
            AccountId::from_slice(&id).map_err(|error| Status::data_loss(error.to_string()))?;
        let account = self.read(Key::Account(id)).await?;
        Ok((id, account.ok_or_else(|| unknown(address))?))
    }
}

/// A shard that takes a new account, and its state's revision.
pub(super) struct Placed {
    pub(super) name: ShardName,
    pub(super) state: Found<ShardStateRecord>,
}

pub(super) fn record_of(new: &New<'_>, shard: &ShardName, placement: String) -> AccountRecord {
    AccountRecord {
        address: new.address.to_string(),
        shard: shard.to_string(),
        epoch: 1,
        state: AccountState::Creating.into(),
        created_at_ms: kit::clock::unix_ms(),
        quota: Some(new.quota),
        placement,
        removed_at_ms: 0,
        pending: true,
        move_id: Default::default(),
        uid_validity: 0,
    }
}

/// Writes a new account with its address and credential.
pub(super) fn put_account(txn: Txn, new: &New<'_>, record: &AccountRecord) -> Txn {
    let address = AddressRecord {
        created_at_ms: record.created_at_ms,
        leads_to: Some(address_record::LeadsTo::Account(new.id.to_field())),
    };
    let key = address_key(new.address);
    let txn = txn
        .when(key.clone(), Expect::Absent)
        .put(key, value(&address))
        .put(Key::Account(new.id).to_string(), value(record));
    if new.phc.is_empty() {
        return txn;
    }
    let credential = CredentialRecord {
        phc: new.phc.to_owned(),
        changed_at_ms: record.created_at_ms,
    };
    txn.put(
        Key::Credential(new.id).to_string(),
        credential.encode_to_vec(),
    )
}

fn any_creating(map: &Map, ids: &[AccountId]) -> bool {
    let creating = |id: &AccountId| {
        let account = map.account(*id);
        account.is_some_and(|account| account.state() == AccountState::Creating)
    };
    ids.iter().any(creating)
}

pub(super) fn account_id(account: &Account) -> Option<AccountId> {
    AccountId::from_slice(&account.route.as_ref()?.account).ok()
}

pub(super) fn unknown(address: &Canonical) -> Status {
    Status::not_found(format!("there is no account {address}"))
}

pub(super) fn is_alias(address: &Canonical) -> Status {
    Status::failed_precondition(format!("{address} is an alias, no account"))
}

fn no_place(why: NoPlace) -> Status {
    Status::failed_precondition(why.to_string())
}
