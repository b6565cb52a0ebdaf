//! A shard has made durable what the directory ordered.
//!
//! | said | of an account that is here, at this epoch, and | then |
//! |---|---|---|
//! | created | Creating | it is Active |
//! | suspended, missing | Removed | it is no longer pending |
//! | dropped | Purging | it is gone, with all that is its own |
//!
//! What that means to the shards that keep something of the account until then:
//!
//! | said | of an account that is here, at this epoch, and | then |
//! |---|---|---|
//! | serving | Active | they may drop it |
//! | suspended | Removed | they may drop it |
//! | dropped | Purging | they may drop it |
//! | missing | Active, Removed | the one that has it whole gets it back (see [`super::debts`]) |
//!
//! Whatever else is said is old, and nothing follows.

use prost::Message;
use tonic::Status;
use wire::ids::{AccountId, Epoch, Incarnation, ShardName};
use wire::rpc::confirmation::What;
use wire::rpc::{AccountState, ConfirmRequest, Confirmation};

use super::Registry;
use super::debts::{Follows, follows};
use super::records::{ATTEMPTS, Found, busy, found};
use crate::model::Key;
use crate::model::records::{AccountRecord, AddressRecord, MoveRecord, address_record};
use crate::store::{Expect, Txn};

/// Most confirmations of one call.
const MAX_CONFIRMATIONS: usize = 1000;

/// Confirmations of one transaction: each has at most eight conditions or nine writes, and the
/// store takes 128.
const BATCH: usize = 12;

/// Shards that keep something of one account: one for each of its last moves that not all ends have
/// heard of. The rest are for the next confirmation.
const MAX_KEEPERS: usize = 4;

/// A confirmation, read.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) account: AccountId,
    pub(super) epoch: Epoch,
    pub(super) what: What,
    pub(super) keepers: Vec<ShardName>,
}

/// What follows from a confirmation.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Put(AccountRecord),
    Gone,
    Nothing,
}

impl Registry {
    pub(super) async fn confirm_all(
        &self,
        shard: &ShardName,
        request: &ConfirmRequest,
    ) -> Result<(), Status> {
        if request.confirmations.len() > MAX_CONFIRMATIONS {
            let text = format!("confirmations: send at most {MAX_CONFIRMATIONS} at a time");
            return Err(Status::invalid_argument(text));
        }
        let said: Result<Vec<_>, _> = request.confirmations.iter().map(read).collect();
        let incarnation = Incarnation(request.incarnation);
        for batch in last_words(said?).chunks(BATCH) {
            let mut attempts = 0..ATTEMPTS;
            while !self.confirm_batch(shard, incarnation, batch).await? {
                attempts.next().ok_or_else(busy)?;
            }
        }
        Ok(())
    }

    /// False: something changed meanwhile.
    async fn confirm_batch(
        &self,
        shard: &ShardName,
        incarnation: Incarnation,
        batch: &[Said],
    ) -> Result<bool, Status> {
        let newest = self.newest(shard, incarnation).await?;
        let keys: Vec<_> = batch
            .iter()
            .map(|said| Key::Account(said.account))
            .collect();
        let entries = self.get(&keys).await?;
        let key = Key::Shard(shard.clone()).to_string();
        let mut txn = Txn::new().when(key, Expect::At(newest.revision));
        for (said, entry) in batch.iter().zip(entries) {
            let Some(entry) = entry else {
                continue;
            };
            let account: Found<AccountRecord> = found(entry)?;
            if !is_current(shard, &account.record, said) {
                continue;
            }
            let key = Key::Account(said.account).to_string();
            let (step, follows) = (
                step(&account.record, said.what),
                follows(&account.record, said),
            );
            if step != Step::Nothing || follows != Follows::Nothing {
                txn = txn.when(key.clone(), Expect::At(account.revision));
            }
            txn = match step {
                Step::Nothing => txn,
                Step::Put(record) => txn.put(key, record.encode_to_vec()),
                Step::Gone => self.delete_all(txn, said.account, &account.record).await?,
            };
            txn = self.tell_keepers(txn, shard, said, follows).await?;
        }
        match txn.writes() {
            0 => Ok(true),
            _ => self.commit(txn).await,
        }
    }

    /// Deletes the account's keys: those named by its id, and its address while that leads to it.
    async fn delete_all(
        &self,
        txn: Txn,
        account: AccountId,
        record: &AccountRecord,
    ) -> Result<Txn, Status> {
        let address = Key::Address(record.address.clone());
        let keys = [address.clone(), Key::Move(account)];
        let mut entries = self.get(&keys).await?.into_iter();
        let mut next = || entries.next().flatten();
        let mut txn = txn
            .delete(Key::Account(account).to_string())
            .delete(Key::Credential(account).to_string())
            .delete(Key::Quota(account).to_string());
        if let Some(found) = next().map(found::<AddressRecord>).transpose()?
            && found.record.leads_to == Some(address_record::LeadsTo::Account(account.to_field()))
        {
            txn = delete_found(txn, &address, &found);
        }
        if let Some(found) = next().map(found::<MoveRecord>).transpose()? {
            txn = delete_found(txn, &Key::Move(account), &found);
        }
        tracing::info!(%account, address = record.address, "the account is gone");
        Ok(txn)
    }
}

fn delete_found<T>(txn: Txn, key: &Key, found: &Found<T>) -> Txn {
    let key = key.to_string();
    txn.when(key.clone(), Expect::At(found.revision))
        .delete(key)
}

fn is_current(shard: &ShardName, account: &AccountRecord, said: &Said) -> bool {
    account.shard == shard.as_str() && account.epoch == said.epoch.0
}

fn step(account: &AccountRecord, what: What) -> Step {
    let confirmed = |state: AccountState| AccountRecord {
        state: state.into(),
        pending: false,
        ..account.clone()
    };
    match (what, account.state()) {
        (What::Created, AccountState::Creating) => Step::Put(confirmed(AccountState::Active)),
        (What::Suspended | What::Missing, AccountState::Removed) if account.pending => {
            Step::Put(confirmed(AccountState::Removed))
        }
        (What::Dropped, AccountState::Purging) => Step::Gone,
        _ => Step::Nothing,
    }
}

fn read(confirmation: &Confirmation) -> Result<Said, Status> {
    let account = AccountId::from_slice(&confirmation.account);
    let wrong = |error| Status::invalid_argument(format!("confirmations: {error}"));
    let keepers = confirmation.keepers.iter().map(|name| name.parse());
    Ok(Said {
        account: account.map_err(wrong)?,
        epoch: Epoch(confirmation.epoch),
        what: confirmation.what(),
        keepers: keepers
            .take(MAX_KEEPERS)
            .collect::<Result<_, _>>()
            .map_err(wrong)?,
    })
}

/// One word on each account, since a transaction writes a key once: the one at the latest epoch.
fn last_words(mut said: Vec<Said>) -> Vec<Said> {
    said.sort_by_key(|said| (said.account, std::cmp::Reverse(said.epoch)));
    said.dedup_by_key(|said| said.account);
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(state: AccountState) -> AccountRecord {
        AccountRecord {
            address: "ana@example.org".to_owned(),
            shard: "shard-1".to_owned(),
            epoch: 5,
            state: state.into(),
            pending: true,
            ..AccountRecord::default()
        }
    }

    fn said(what: What, epoch: u64) -> Said {
        Said {
            account: AccountId::from_bytes([1; 16]),
            epoch: Epoch(epoch),
            what,
            keepers: Vec::new(),
        }
    }

    const ALL: [What; 6] = [
        What::Created,
        What::Suspended,
        What::Dropped,
        What::Serving,
        What::Missing,
        What::Unspecified,
    ];

    #[test]
    fn the_table() {
        use AccountState::{Active, Creating, Purging, Removed};
        for what in ALL {
            for state in [Creating, Active, Removed, Purging] {
                let after = match step(&account(state), what) {
                    Step::Nothing => "-",
                    Step::Gone => "gone",
                    Step::Put(after) => {
                        assert!(!after.pending);
                        after.state().as_str_name()
                    }
                };
                let expected = match (what, state) {
                    (What::Created, Creating) => "ACCOUNT_STATE_ACTIVE",
                    (What::Suspended | What::Missing, Removed) => "ACCOUNT_STATE_REMOVED",
                    (What::Dropped, Purging) => "gone",
                    _ => "-",
                };
                assert_eq!(after, expected, "{what:?} {state:?}");
            }
        }
    }

    #[test]
    fn what_keepers_hear() {
        use AccountState::{Active, Creating, Purging, Removed};
        for what in ALL {
            for state in [Creating, Active, Removed, Purging] {
                let mut said = said(what, 5);
                assert_eq!(follows(&account(state), &said), Follows::Nothing);
                said.keepers.push("shard-2".parse().unwrap());
                let expected = match (what, state) {
                    (What::Serving, Active)
                    | (What::Suspended, Removed)
                    | (What::Dropped, Purging) => Follows::Due,
                    (What::Missing, Active | Removed) => Follows::Returns,
                    _ => Follows::Nothing,
                };
                let found = follows(&account(state), &said);
                assert_eq!(found, expected, "{what:?} {state:?}");
            }
        }
    }

    #[test]
    fn another_epoch_or_shard_confirms_nothing() {
        let here: ShardName = "shard-1".parse().unwrap();
        let there: ShardName = "shard-2".parse().unwrap();
        let creating = account(AccountState::Creating);
        for (shard, epoch, current) in [(&here, 5, true), (&here, 4, false), (&here, 6, false)] {
            assert_eq!(
                is_current(shard, &creating, &said(What::Created, epoch)),
                current
            );
        }
        assert!(!is_current(&there, &creating, &said(What::Created, 5)));
    }

    #[test]
    fn the_latest_word_counts() {
        let words = last_words(vec![said(What::Created, 4), said(What::Suspended, 5)]);
        assert_eq!(words.len(), 1);
        assert_eq!(words[0].what, What::Suspended);
    }
}
