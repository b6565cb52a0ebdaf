//! What the index does with each record of the heap, in order: after its sync, and in a replay.

use std::collections::hash_map::Entry as MapEntry;
use std::collections::{BTreeSet, HashMap, VecDeque};

use fjall::OwnedWriteBatch;
use log::Position;
use wire::ids::{AccountId, DeliveryId};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Index, IndexError, keys};
use crate::account::{Account, INBOX, Inconsistent, Usage, empties};
use crate::records::proto::{self, DeliveryRow, Holding, MessageRow, ProgressRow};
use crate::records::{Change, Decoded, Entry, IMPORTED, Imported, Layout, MESSAGE, Message};

/// Accounts kept decoded between batches; the busy ones.
const KEPT_ACCOUNTS: usize = 8192;

/// Rows removed at a time, so that no batch of changes waits long for a large account's removal.
const SWEEP_ROWS: usize = 1000;

/// Why a record cannot be indexed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The record contradicts what the index holds.
    #[error("at {at}: {source}")]
    Inconsistent {
        /// The record.
        at: Position,
        /// How.
        source: Inconsistent,
    },
}

/// What a batch did to one account.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// The account.
    pub account: AccountId,
    /// As it was before the batch.
    pub before: Summary,
    /// As it is.
    pub after: Summary,
    /// Whether the batch changed what this shard is to it.
    pub ownership: bool,
}

/// What the shard counts and watches of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Whether it counts as an account of this shard.
    pub held: bool,
    /// Whether sessions may read it.
    pub serves: bool,
    /// What it holds; nothing while it does not count.
    pub usage: Usage,
    /// Whether it is over its limits.
    pub over_quota: bool,
}

impl Summary {
    /// Of an account, or of none.
    pub fn of(account: Option<&Account>) -> Self {
        match account {
            Some(account) if account.is_held() => Self {
                held: true,
                serves: account.serves(),
                usage: account.usage(),
                over_quota: account.is_over_quota(),
            },
            _ => Self::default(),
        }
    }
}

/// The one who writes to the index.
pub struct Writer {
    index: Index,
    kept: HashMap<AccountId, Option<Account>>,
    /// Accounts whose old rows are still there.
    sweeps: VecDeque<AccountId>,
}

/// One batch under way.
struct Batch {
    rows: OwnedWriteBatch,
    touched: HashMap<AccountId, Touched>,
}

struct Touched {
    before: Summary,
    mailboxes: BTreeSet<u32>,
    ownership: bool,
}

/// Over kind and what is before the body: enough to know that an index belongs to a heap.
pub fn fingerprint(kind: u8, before_body: &[u8]) -> u64 {
    xxh3_64_with_seed(before_body, kind.into())
}

impl Writer {
    /// Takes over the index.
    pub fn new(index: Index) -> Result<Self, IndexError> {
        let mut sweeps = VecDeque::new();
        for guard in index.rows.prefix(keys::SWEEPS) {
            let key = guard.key().map_err(IndexError::store("be read"))?;
            sweeps.push_back(keys::account_of(&key).ok_or(IndexError::Row("a sweep"))?);
        }
        Ok(Self {
            index,
            kept: HashMap::new(),
            sweeps,
        })
    }

    /// Indexes records that follow on each other and on what is indexed, atomically but for the
    /// removal of old rows. `sum` is the last one's [`fingerprint`].
    pub fn apply<'a>(
        &mut self,
        records: impl IntoIterator<Item = (Position, &'a Decoded)>,
        sum: u64,
    ) -> Result<Vec<Effect>, ApplyError> {
        if self.kept.len() > KEPT_ACCOUNTS {
            self.kept.clear();
        }
        let mut batch = self.start();
        let mut last = None;
        for (at, decoded) in records {
            self.apply_one(&mut batch, at, decoded)?;
            last = Some(at);
        }
        let Some(last) = last else {
            return Ok(Vec::new());
        };
        let progress = ProgressRow {
            applied: Some(last.into()),
            sum,
        };
        self.put(&mut batch, keys::PROGRESS, &progress);
        Ok(self.commit(batch)?)
    }

    /// Removes some of the rows that emptied accounts left behind; false: there are none.
    pub fn sweep_some(&mut self) -> Result<bool, IndexError> {
        let Some(account) = self.sweeps.front().copied() else {
            return Ok(false);
        };
        let mut rows = self.index.batch();
        self.remove_prefix(&mut rows, &keys::messages(account))?;
        self.remove_prefix(&mut rows, &keys::mailboxes(account))?;
        self.remove_deliveries(&mut rows, account)?;
        if rows.is_empty() {
            rows.remove(&self.index.rows, keys::sweep(account));
            self.sweeps.pop_front();
        }
        rows.commit().map_err(IndexError::store("be written"))?;
        Ok(true)
    }

    /// Forgets some deliveries that were stored before `before_ms`; how many.
    pub fn forget_some(&mut self, before_ms: i64) -> Result<usize, IndexError> {
        let mut rows = self.index.batch();
        let old = keys::TIMES.to_vec()..keys::time_bound(before_ms).to_vec();
        let mut forgotten = 0;
        for guard in self.index.rows.range(old).take(SWEEP_ROWS) {
            let key = guard.key().map_err(IndexError::store("be read"))?;
            let (Some(account), Some(delivery)) =
                (keys::account_of_time(&key), keys::delivery_of(&key))
            else {
                return Err(IndexError::Row("a time"));
            };
            rows.remove(&self.index.rows, keys::delivery(account, delivery));
            rows.remove(&self.index.rows, key);
            forgotten += 1;
        }
        rows.commit().map_err(IndexError::store("be written"))?;
        Ok(forgotten)
    }

    /// The index it writes to.
    pub fn index(&self) -> &Index {
        &self.index
    }

    fn start(&self) -> Batch {
        Batch {
            rows: self.index.batch(),
            touched: HashMap::new(),
        }
    }

    fn apply_one(
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
                };
                self.put(batch, keys::VOLUME, &row);
                Ok(())
            }
            Entry::Message(message) => self.apply_message(batch, at, message, decoded.layout),
            Entry::Imported(imported) => self.apply_imported(batch, at, imported, decoded.layout),
            Entry::Change(account, change) => self.apply_change(batch, at, *account, change),
        }
    }

    fn apply_message(
        &mut self,
        batch: &mut Batch,
        at: Position,
        message: &Message,
        layout: Layout,
    ) -> Result<(), ApplyError> {
        let mut prefix_at = layout.prefix_at;
        for target in &message.targets {
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
        layout: Layout,
    ) -> Result<(), ApplyError> {
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
        Account::apply(slot, change).map_err(|source| ApplyError::Inconsistent { at, source })?;
        if let Some(account) = slot {
            account.changed = at;
        }
        let Some(touched) = batch.touched.get_mut(&id) else {
            return Ok(());
        };
        match change {
            Change::Created(_) => {
                touched.ownership = true;
                touched.mailboxes.insert(INBOX);
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
            Change::DeliveriesImported(imported) => self.remember_all(batch, id, imported),
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

    /// An account that starts anew has no rows of its past. A tombstone's are removed by and by.
    fn empty(
        &mut self,
        batch: &mut Batch,
        id: AccountId,
        holding: Holding,
        had_data: bool,
    ) -> Result<(), IndexError> {
        let swept = self.sweeps.contains(&id);
        if !had_data && !swept {
            return Ok(());
        }
        // What this batch stored must be there to be removed.
        self.write_rows(batch)?;
        if !swept {
            batch.rows.insert(&self.index.rows, keys::sweep(id), []);
            self.write_rows(batch)?;
            self.sweeps.push_back(id);
        }
        if holding == Holding::Building {
            self.sweeps.retain(|other| *other != id);
            self.sweeps.push_front(id);
            while self.sweeps.front() == Some(&id) {
                self.sweep_some()?;
            }
        }
        Ok(())
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

    /// Writes what is gathered. The progress row comes last, so a crash here is replayed.
    fn write_rows(&self, batch: &mut Batch) -> Result<(), IndexError> {
        let rows = std::mem::replace(&mut batch.rows, self.index.batch());
        rows.commit().map_err(IndexError::store("be written"))
    }

    fn remember(&self, batch: &mut Batch, id: AccountId, delivery: DeliveryId, row: &DeliveryRow) {
        self.put(batch, keys::delivery(id, delivery), row);
        let key = keys::time(row.stored_at_ms, id, delivery);
        batch.rows.insert(&self.index.rows, key, []);
    }

    fn existing(
        &mut self,
        batch: &mut Batch,
        at: Position,
        id: AccountId,
        mailbox: Option<u32>,
    ) -> Result<&mut Account, ApplyError> {
        self.touch(batch, id)?;
        if let (Some(touched), Some(mailbox)) = (batch.touched.get_mut(&id), mailbox) {
            touched.mailboxes.insert(mailbox);
        }
        let inconsistent = |source| ApplyError::Inconsistent { at, source };
        match self.kept.get_mut(&id) {
            Some(Some(account)) if account.changed < at => {
                account.changed = at;
                Ok(account)
            }
            Some(Some(_)) => Err(inconsistent(Inconsistent(
                "the account has seen this record",
            ))),
            _ => Err(inconsistent(Inconsistent("a message for no account"))),
        }
    }

    /// The account, decoded, and noted as touched by the batch.
    fn touch(
        &mut self,
        batch: &mut Batch,
        id: AccountId,
    ) -> Result<&mut Option<Account>, IndexError> {
        let slot = match self.kept.entry(id) {
            MapEntry::Occupied(kept) => kept.into_mut(),
            MapEntry::Vacant(vacant) => vacant.insert(self.index.account(id)?),
        };
        batch.touched.entry(id).or_insert_with(|| Touched {
            before: Summary::of(slot.as_ref()),
            mailboxes: BTreeSet::new(),
            ownership: false,
        });
        Ok(slot)
    }

    fn commit(&mut self, mut batch: Batch) -> Result<Vec<Effect>, IndexError> {
        let mut effects = Vec::with_capacity(batch.touched.len());
        for (id, touched) in std::mem::take(&mut batch.touched) {
            let account = self.kept.get(&id).and_then(Option::as_ref);
            effects.push(Effect {
                account: id,
                before: touched.before,
                after: Summary::of(account),
                ownership: touched.ownership,
            });
            let Some(account) = account else {
                continue;
            };
            self.put(
                &mut batch,
                keys::account(id),
                &proto::AccountRow::from(account),
            );
            for number in touched.mailboxes {
                if let Some(mailbox) = account.mailboxes.get(&number) {
                    let row = proto::MailboxRow::from(mailbox);
                    self.put(&mut batch, keys::mailbox(id, number), &row);
                }
            }
        }
        batch
            .rows
            .commit()
            .map_err(IndexError::store("be written"))?;
        Ok(effects)
    }

    fn put(&self, batch: &mut Batch, key: impl Into<fjall::UserKey>, row: &impl prost::Message) {
        batch
            .rows
            .insert(&self.index.rows, key, row.encode_to_vec());
    }

    fn remove_prefix(&self, rows: &mut OwnedWriteBatch, prefix: &[u8]) -> Result<(), IndexError> {
        let room = SWEEP_ROWS.saturating_sub(rows.len());
        for guard in self.index.rows.prefix(prefix).take(room) {
            let key = guard.key().map_err(IndexError::store("be read"))?;
            rows.remove(&self.index.rows, key);
        }
        Ok(())
    }

    fn remove_deliveries(
        &self,
        rows: &mut OwnedWriteBatch,
        account: AccountId,
    ) -> Result<(), IndexError> {
        let room = SWEEP_ROWS.saturating_sub(rows.len());
        for remembered in self.index.deliveries(account).take(room) {
            let (delivery, row) = remembered?;
            rows.remove(&self.index.rows, keys::delivery(account, delivery));
            rows.remove(
                &self.index.rows,
                keys::time(row.stored_at_ms, account, delivery),
            );
        }
        Ok(())
    }
}
