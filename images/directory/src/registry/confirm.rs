//! A shard has made durable what the directory ordered.
//!
//! | said | of an account that is here, at this epoch, and | then |
//! |---|---|---|
//! | created | Creating | it is Active |
//! | suspended | Removed | it is no longer pending |
//! | dropped | Purging, and not being moved | it is gone, with all that is its own |
//!
//! Whatever else is said is old, and nothing follows. While a move is open, another shard has data
//! of the account too; when that is dropped the move ends, the account's record changes, and its
//! shard is told and confirms again.

use prost::Message;
use tonic::Status;
use wire::ids::{AccountId, Epoch, Incarnation, ShardName};
use wire::rpc::confirmation::What;
use wire::rpc::{AccountState, ConfirmRequest, Confirmation};

use super::Registry;
use super::records::{ATTEMPTS, Found, busy, found};
use crate::model::Key;
use crate::model::records::{AccountRecord, AddressRecord, MoveRecord, address_record};
use crate::store::{Expect, Txn};

/// Most confirmations of one call.
const MAX_CONFIRMATIONS: usize = 1000;

/// Confirmations of one transaction: each has at most four conditions or five writes, and the
/// store takes 128.
const BATCH: usize = 25;

/// A confirmation, read.
#[derive(Debug, Clone, Copy)]
struct Said {
    account: AccountId,
    epoch: Epoch,
    what: What,
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
            let key = Key::Account(said.account).to_string();
            txn = match step(shard, &account.record, *said) {
                Step::Nothing => txn,
                Step::Put(record) => txn
                    .when(key.clone(), Expect::At(account.revision))
                    .put(key, record.encode_to_vec()),
                Step::Gone => {
                    let txn = txn.when(key, Expect::At(account.revision));
                    self.delete_all(txn, said.account, &account.record).await?
                }
            };
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

fn step(shard: &ShardName, account: &AccountRecord, said: Said) -> Step {
    if account.shard != shard.as_str() || account.epoch != said.epoch.0 {
        return Step::Nothing;
    }
    let confirmed = |state: AccountState| AccountRecord {
        state: state.into(),
        pending: false,
        ..account.clone()
    };
    match (said.what, account.state()) {
        (What::Created, AccountState::Creating) => Step::Put(confirmed(AccountState::Active)),
        (What::Suspended, AccountState::Removed) if account.pending => {
            Step::Put(confirmed(AccountState::Removed))
        }
        (What::Dropped, AccountState::Purging) if account.move_id.is_empty() => Step::Gone,
        _ => Step::Nothing,
    }
}

fn read(confirmation: &Confirmation) -> Result<Said, Status> {
    let account = AccountId::from_slice(&confirmation.account);
    let wrong = |error| Status::invalid_argument(format!("confirmations: {error}"));
    Ok(Said {
        account: account.map_err(wrong)?,
        epoch: Epoch(confirmation.epoch),
        what: confirmation.what(),
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
        }
    }

    #[test]
    fn the_table() {
        use AccountState::{Active, Creating, Purging, Removed};
        let here: ShardName = "shard-1".parse().unwrap();
        for what in [
            What::Created,
            What::Suspended,
            What::Dropped,
            What::Unspecified,
        ] {
            for state in [Creating, Active, Removed, Purging] {
                let before = account(state);
                let after = match step(&here, &before, said(what, 5)) {
                    Step::Nothing => "-",
                    Step::Gone => "gone",
                    Step::Put(after) => {
                        assert!(!after.pending);
                        after.state().as_str_name()
                    }
                };
                let expected = match (what, state) {
                    (What::Created, Creating) => "ACCOUNT_STATE_ACTIVE",
                    (What::Suspended, Removed) => "ACCOUNT_STATE_REMOVED",
                    (What::Dropped, Purging) => "gone",
                    _ => "-",
                };
                assert_eq!(after, expected, "{what:?} {state:?}");
            }
        }
    }

    #[test]
    fn an_account_that_is_being_moved_is_not_gone_yet() {
        let here: ShardName = "shard-1".parse().unwrap();
        let moving = AccountRecord {
            move_id: vec![1; 16].into(),
            ..account(AccountState::Purging)
        };
        assert_eq!(step(&here, &moving, said(What::Dropped, 5)), Step::Nothing);
    }

    #[test]
    fn another_epoch_or_shard_confirms_nothing() {
        let here: ShardName = "shard-1".parse().unwrap();
        let there: ShardName = "shard-2".parse().unwrap();
        let creating = account(AccountState::Creating);
        for epoch in [4, 6] {
            let step = step(&here, &creating, said(What::Created, epoch));
            assert_eq!(step, Step::Nothing);
        }
        let purging = account(AccountState::Purging);
        assert_eq!(
            step(&there, &purging, said(What::Dropped, 5)),
            Step::Nothing
        );
    }

    #[test]
    fn the_latest_word_counts() {
        let words = last_words(vec![said(What::Created, 4), said(What::Suspended, 5)]);
        assert_eq!(words.len(), 1);
        assert_eq!(words[0].what, What::Suspended);
    }
}
