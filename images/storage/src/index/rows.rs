//! What is read of the index: accounts, messages, deliveries.

use std::sync::Arc;

use fjall::Guard;
use wire::ids::{AccountId, DeliveryId};

use super::trouble::failed;
use super::{Index, IndexError, Message, Result, keys, noted};
use crate::account::{Account, Mailbox};
use crate::records::proto::{AccountRow, DeliveryRow, Holding, MailboxRow, MessageRow, VolumeRow};

impl Index {
    /// What is known of the volume.
    pub fn volume(&self) -> Result<Option<VolumeRow>> {
        self.get(&keys::VOLUME, "a volume")
    }

    /// An account with its mailboxes.
    pub fn account(&self, id: AccountId) -> Result<Option<Account>> {
        let Some(row) = self.get::<AccountRow>(&keys::account(id), "an account")? else {
            return Ok(None);
        };
        noted(&self.damage, self.with_mailboxes(id, row)).map(Some)
    }

    /// Every account, by id.
    pub fn accounts(&self) -> impl Iterator<Item = Result<(AccountId, Account)>> + '_ {
        let rows = self.rows.prefix(keys::ACCOUNTS).map(|guard| {
            let (key, row) = read::<AccountRow>(guard, "an account")?;
            let id = keys::account_of(&key).ok_or(IndexError::Row("an account"))?;
            Ok((id, self.with_mailboxes(id, row)?))
        });
        rows.map(|row| noted(&self.damage, row))
    }

    /// One message.
    pub fn message(&self, id: AccountId, mailbox: u32, uid: u32) -> Result<Option<MessageRow>> {
        self.get(&keys::message(id, mailbox, uid), "a message")
    }

    /// The messages of a mailbox with UIDs from `first` on, ascending.
    pub fn messages(
        &self,
        id: AccountId,
        mailbox: u32,
        first: u32,
    ) -> impl Iterator<Item = Result<Message>> + use<> {
        let range = keys::message(id, mailbox, first)..=keys::message(id, mailbox, u32::MAX);
        let rows = self.rows.range(range).map(|guard| {
            let (key, row) = read(guard, "a message")?;
            let uid = keys::last_number(&key).ok_or(IndexError::Row("a message"))?;
            Ok((uid, row))
        });
        let damage = Arc::clone(&self.damage);
        rows.map(move |row| noted(&damage, row))
    }

    /// A remembered delivery.
    pub fn delivery(&self, id: AccountId, delivery: DeliveryId) -> Result<Option<DeliveryRow>> {
        self.get(&keys::delivery(id, delivery), "a delivery")
    }

    /// The remembered deliveries of an account, by id.
    pub fn deliveries(
        &self,
        id: AccountId,
    ) -> impl Iterator<Item = Result<(DeliveryId, DeliveryRow)>> + use<> {
        self.deliveries_from(id, &keys::deliveries(id))
    }

    /// Those whose key is `first` or later.
    pub(super) fn deliveries_from(
        &self,
        id: AccountId,
        first: &[u8],
    ) -> impl Iterator<Item = Result<(DeliveryId, DeliveryRow)>> + use<> {
        let last = keys::delivery(id, DeliveryId::from_bytes([0xff; 16]));
        let rows = self
            .rows
            .range(first.to_vec()..=last.to_vec())
            .map(|guard| {
                let (key, row) = read(guard, "a delivery")?;
                let delivery = keys::delivery_of(&key).ok_or(IndexError::Row("a delivery"))?;
                Ok((delivery, row))
            });
        let damage = Arc::clone(&self.damage);
        rows.map(move |row| noted(&damage, row))
    }

    /// Whether rows of the account's past are still being removed.
    pub fn is_sweeping(&self, id: AccountId) -> Result<bool> {
        let key = keys::sweep(id);
        let is = self.rows.contains_key(key);
        noted(&self.damage, is.map_err(failed("be read")))
    }

    fn with_mailboxes(&self, id: AccountId, row: AccountRow) -> Result<Account> {
        let mut account = Account::from(row);
        // The old mailboxes of an emptied account may still wait to be swept.
        match account.holding {
            Holding::Tombstone => return Ok(account),
            Holding::Building if self.is_sweeping(id)? => return Ok(account),
            _ => {}
        }
        for guard in self.rows.prefix(keys::mailboxes(id)) {
            let (key, row) = read::<MailboxRow>(guard, "a mailbox")?;
            let number = keys::last_number(&key).ok_or(IndexError::Row("a mailbox"))?;
            account.mailboxes.insert(number, Mailbox::from(row));
        }
        Ok(account)
    }

    pub(super) fn get<T: prost::Message + Default>(
        &self,
        key: &[u8],
        what: &'static str,
    ) -> Result<Option<T>> {
        let value = self.rows.get(key).map_err(failed("be read"));
        let row = value.and_then(|value| {
            value
                .map(|value| T::decode(&*value).map_err(|_| IndexError::Row(what)))
                .transpose()
        });
        noted(&self.damage, row)
    }
}

fn read<T: prost::Message + Default>(
    guard: Guard,
    what: &'static str,
) -> Result<(fjall::UserKey, T)> {
    let (key, value) = guard.into_inner().map_err(failed("be read"))?;
    let row = T::decode(&*value).map_err(|_| IndexError::Row(what))?;
    Ok((key, row))
}
