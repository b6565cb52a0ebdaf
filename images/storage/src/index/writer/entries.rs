//! What each record means for rows and accounts.

use segments::Position;
use wire::ids::{AccountId, DeliveryId};

use super::{ApplyError, Batch, IndexError, Writer, keys};
use crate::account::{Account, INBOX, Inconsistent, empties};
use crate::records::proto::{self, DeliveryRow, Holding, MessageRow};
use crate::records::{Change, Decoded, Entry, IMPORTED, Imported, MESSAGE, Message, content_sum};

impl Writer {
    pub(super) fn apply_one(
        &mut self,
        batch: &mut Batch,
        at: Position,
        decoded: &Decoded,
    ) -> Result<(), ApplyError> {
        match &decoded.entry {
            Entry::VolumeOpened(opened) => {
                let row = proto::VolumeRow {
                    cluster_id: opened.cluster_id.clone(),
                    shard: opened.shard.clone(),
                    incarnation: opened.incarnation,
                    volume_id: opened.volume_id.clone(),
                };
                self.put(batch, keys::VOLUME, &row);
                Ok(())
            }
            Entry::Message(message) => self.apply_message(batch, at, message, decoded),
            Entry::Imported(imported) => self.apply_imported(batch, at, imported, decoded),
            Entry::Change(account, change) => self.apply_change(batch, at, *account, change),
        }
    }

    fn apply_message(
        &mut self,
        batch: &mut Batch,
        at: Position,
        message: &Message,
        decoded: &Decoded,
    ) -> Result<(), ApplyError> {
        let layout = decoded.layout;
        let mut prefix_at = layout.prefix_at;
        for (target, prefix_sum) in message.targets.iter().zip(&decoded.prefix_sums) {
            let octets = u64::from(target.prefix_length) + message.body_length;
            let account = self.existing(batch, at, target.account, Some(target.mailbox))?;
            let applied = account.apply_target(target, octets);
            applied.map_err(|source| ApplyError::Inconsistent { at, source })?;
            let uid_validity = account.mailboxes[&target.mailbox].uid_validity;
            let row = MessageRow {
                at: Some(at.into()),
                modseq: target.modseq,
                internal_date_ms: message.received_at_ms,
                prefix_at,
                prefix_length: target.prefix_length,
                body_at: layout.body_at,
                body_length: message.body_length,
                flags: Vec::new(),
                uidl: String::new(),
                kind: MESSAGE.into(),
                sum: content_sum(*prefix_sum, &message.body_sums),
            };
            let key = keys::message(target.account, target.mailbox, target.uid);
            self.put(batch, key, &row);
            if let Some(delivery) = message.delivery {
                let remembered = DeliveryRow {
                    stored_at_ms: message.stored_at_ms,
                    uid_validity,
                    uid: target.uid,
                };
                self.remember(batch, target.account, delivery, &remembered);
            }
            prefix_at += target.prefix_length;
        }
        Ok(())
    }

    fn apply_imported(
        &mut self,
        batch: &mut Batch,
        at: Position,
        imported: &Imported,
        decoded: &Decoded,
    ) -> Result<(), ApplyError> {
        let layout = decoded.layout;
        let prefix_sum = decoded.prefix_sums.first().copied().unwrap_or_default();
        let account = self.existing(batch, at, imported.account, Some(imported.mailbox))?;
        let applied = account.apply_imported(imported);
        applied.map_err(|source| ApplyError::Inconsistent { at, source })?;
        let row = MessageRow {
            at: Some(at.into()),
            modseq: imported.modseq,
            internal_date_ms: imported.internal_date_ms,
            prefix_at: layout.prefix_at,
            prefix_length: imported.prefix_length,
            body_at: layout.body_at,
            body_length: imported.body_length,
            flags: imported.flags.clone(),
            uidl: imported.uidl.clone(),
            kind: IMPORTED.into(),
            sum: content_sum(prefix_sum, &imported.body_sums),
        };
        let key = keys::message(imported.account, imported.mailbox, imported.uid);
        self.put(batch, key, &row);
        Ok(())
    }

    fn apply_change(
        &mut self,
        batch: &mut Batch,
        at: Position,
        id: AccountId,
        change: &Change,
    ) -> Result<(), ApplyError> {
        let slot = self.touch(batch, id)?;
        if slot.as_ref().is_some_and(|account| account.changed >= at) {
            let source = Inconsistent("the account has seen this record");
            return Err(ApplyError::Inconsistent { at, source });
        }
        let had_data = slot
            .as_ref()
            .is_some_and(|account| account.holding != Holding::Tombstone);
        let was_empty = slot.as_ref().is_some_and(|account| !account.has_data());
        Account::apply(slot, change).map_err(|source| ApplyError::Inconsistent { at, source })?;
        let mut numbers = Vec::new();
        if let Some(account) = slot {
            account.changed = at;
            numbers.extend(account.mailboxes.keys().copied());
        }
        let Some(touched) = batch.touched.get_mut(&id) else {
            return Ok(());
        };
        match change {
            Change::Created(_) => {
                touched.ownership = true;
                touched.mailboxes.insert(INBOX);
            }
            Change::Renewed(_) => {
                touched.ownership = true;
                touched.mailboxes.extend(numbers);
                if was_empty {
                    // It starts anew now, not by and by: its rows must not be taken for its past.
                    self.empty(batch, id, Holding::Building, had_data)?;
                    self.sweep_before(batch, id)?;
                }
            }
            Change::Ownership(ownership) => {
                touched.ownership = true;
                if empties(ownership.holding()) {
                    touched.mailboxes.clear();
                    self.empty(batch, id, ownership.holding(), had_data)?;
                }
            }
            Change::MailboxImported(imported) => {
                touched.mailboxes.insert(imported.mailbox);
                self.sweep_before(batch, id)?;
            }
            Change::Expunged(expunged) => {
                touched.mailboxes.insert(expunged.mailbox);
                for uid in &expunged.uids {
                    let key = keys::message(id, expunged.mailbox, *uid);
                    batch.rows.remove(&self.index.rows, key);
                }
            }
            Change::FlagsChanged(changed) => {
                touched.mailboxes.insert(changed.mailbox);
                self.set_flags(batch, id, changed)?;
            }
            Change::DeliveriesImported(imported) => {
                self.sweep_before(batch, id)?;
                self.remember_all(batch, id, imported);
            }
            Change::Limits(_) | Change::ImportFinished(_) => {}
        }
        Ok(())
    }

    fn remember_all(&self, batch: &mut Batch, id: AccountId, imported: &proto::DeliveriesImported) {
        for remembered in &imported.deliveries {
            let Ok(delivery) = DeliveryId::from_slice(&remembered.delivery_id) else {
                continue;
            };
            let row = DeliveryRow {
                stored_at_ms: remembered.stored_at_ms,
                uid_validity: remembered.uid_validity,
                uid: remembered.uid,
            };
            self.remember(batch, id, delivery, &row);
        }
    }

    fn set_flags(
        &self,
        batch: &mut Batch,
        id: AccountId,
        changed: &proto::FlagsChanged,
    ) -> Result<(), IndexError> {
        self.write_rows(batch)?;
        for uid in &changed.uids {
            let Some(mut row) = self.index.message(id, changed.mailbox, *uid)? else {
                return Err(IndexError::Row("there"));
            };
            row.flags.clone_from(&changed.flags);
            row.modseq = changed.modseq;
            self.put(batch, keys::message(id, changed.mailbox, *uid), &row);
        }
        Ok(())
    }

    fn remember(&self, batch: &mut Batch, id: AccountId, delivery: DeliveryId, row: &DeliveryRow) {
        self.put(batch, keys::delivery(id, delivery), row);
        let key = keys::time(row.stored_at_ms, id, delivery);
        batch.rows.insert(&self.index.rows, key, []);
    }
}
