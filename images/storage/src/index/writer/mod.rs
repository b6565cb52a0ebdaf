//! What the index does with each record of the heap, in order: after its sync, and in a replay.

use std::collections::hash_map::Entry as MapEntry;
use std::collections::{BTreeSet, HashMap, VecDeque};

use fjall::OwnedWriteBatch;
use prost::Message as _;
use segments::Position;
use wire::ids::AccountId;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::trouble::failed;
use super::{FORM, Index, IndexError, keys};
use crate::account::{Account, Inconsistent};
use crate::records::Decoded;
use crate::records::proto::{self, ProgressRow};

mod entries;
mod summary;
mod sweep;

pub use self::summary::{Effect, Summary};
use self::sweep::Sweep;

/// Accounts kept decoded between batches; the busy ones.
const KEPT_ACCOUNTS: usize = 8192;

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

/// The one who writes to the index.
pub struct Writer {
    index: Index,
    kept: HashMap<AccountId, Option<Account>>,
    /// Accounts whose old rows are still there.
    sweeps: VecDeque<Sweep>,
    /// The id of the heap's log.
    log: u64,
    /// Sum over all accounts.
    accounts: u64,
}

/// One batch under way.
struct Batch {
    rows: OwnedWriteBatch,
    touched: HashMap<AccountId, Touched>,
}

struct Touched {
    before: Summary,
    before_sum: u64,
    mailboxes: BTreeSet<u32>,
    ownership: bool,
}

/// Over kind and what is before the body: enough to know that an index belongs to a heap.
pub fn fingerprint(kind: u8, before_body: &[u8]) -> u64 {
    xxh3_64_with_seed(before_body, kind.into())
}

/// What an account adds to the sum over all of them.
pub(super) fn account_sum(id: AccountId, account: &Account) -> u64 {
    let mut octets = id.as_bytes().to_vec();
    octets.extend(proto::AccountRow::from(account).encode_to_vec());
    for (number, mailbox) in &account.mailboxes {
        octets.extend(number.to_be_bytes());
        octets.extend(proto::MailboxRow::from(mailbox).encode_length_delimited_to_vec());
    }
    xxh3_64_with_seed(&octets, 0)
}

impl Writer {
    /// Takes over the index of the log with this id.
    pub fn new(index: Index, log: u64) -> Result<Self, IndexError> {
        let mut sweeps = VecDeque::new();
        for guard in index.rows.prefix(keys::SWEEPS) {
            let key = guard.key().map_err(failed("be read"))?;
            let account = keys::account_of(&key).ok_or(IndexError::Row("a sweep"))?;
            sweeps.push_back(Sweep::of(account));
        }
        let accounts = index.progress()?.map_or(0, |progress| progress.accounts);
        Ok(Self {
            index,
            kept: HashMap::new(),
            sweeps,
            log,
            accounts,
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
        Ok(self.commit(batch, last, sum)?)
    }

    /// The id of the heap's log, once that is made.
    pub(crate) fn set_log(&mut self, log: u64) {
        self.log = log;
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

    /// Writes what is gathered. The progress row comes last, so a crash here is replayed.
    fn write_rows(&self, batch: &mut Batch) -> Result<(), IndexError> {
        let rows = std::mem::replace(&mut batch.rows, self.index.batch());
        rows.commit().map_err(failed("be written"))
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
            before_sum: slot.as_ref().map_or(0, |account| account_sum(id, account)),
            mailboxes: BTreeSet::new(),
            ownership: false,
        });
        Ok(slot)
    }

    fn commit(
        &mut self,
        mut batch: Batch,
        last: Position,
        sum: u64,
    ) -> Result<Vec<Effect>, IndexError> {
        let mut effects = Vec::with_capacity(batch.touched.len());
        let mut accounts = self.accounts;
        for (id, touched) in std::mem::take(&mut batch.touched) {
            let account = self.kept.get(&id).and_then(Option::as_ref);
            effects.push(Effect {
                account: id,
                before: touched.before,
                after: Summary::of(account),
                ownership: touched.ownership,
            });
            let after = account.map_or(0, |account| account_sum(id, account));
            accounts = accounts
                .wrapping_sub(touched.before_sum)
                .wrapping_add(after);
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
        let progress = ProgressRow {
            applied: Some(last.into()),
            sum,
            form: FORM,
            log: self.log,
            accounts,
        };
        self.put(&mut batch, keys::PROGRESS, &progress);
        batch.rows.commit().map_err(failed("be written"))?;
        self.accounts = accounts;
        Ok(effects)
    }

    fn put(&self, batch: &mut Batch, key: impl Into<fjall::UserKey>, row: &impl prost::Message) {
        batch
            .rows
            .insert(&self.index.rows, key, row.encode_to_vec());
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::Bytes;
    use tempfile::TempDir;
    use wire::ids::DeliveryId;

    use super::*;
    use crate::account::INBOX;
    use crate::records::proto::{Created, Holding, Ownership};
    use crate::records::{Change, Entry, Message, Target, body_sums};

    /// An index to which records are applied one by one.
    pub(crate) struct Indexed {
        pub(crate) writer: Writer,
        /// Where the next record is.
        pub(crate) next: u64,
        _folder: TempDir,
    }

    impl Indexed {
        pub(crate) fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let index = Index::open(folder.path(), None).unwrap();
            Self {
                writer: Writer::new(index, 1).unwrap(),
                next: 64,
                _folder: folder,
            }
        }

        pub(crate) fn index(&self) -> Index {
            self.writer.index().clone()
        }

        pub(crate) fn create(&mut self, id: AccountId) {
            let created = Created {
                epoch: 1,
                uid_validity: 7,
                limits: None,
            };
            self.change(id, Change::Created(created));
        }

        pub(crate) fn become_(&mut self, id: AccountId, holding: Holding, epoch: u64) {
            let ownership = Ownership {
                epoch,
                holding: holding.into(),
                ..Ownership::default()
            };
            self.change(id, Change::Ownership(ownership));
        }

        pub(crate) fn change(&mut self, id: AccountId, change: Change) {
            self.take(&Entry::Change(id, change), "", b"");
        }

        /// Delivers the account's next message, empty.
        pub(crate) fn deliver_once(&mut self, to: AccountId, id: u64) {
            let mut octets = [0; 16];
            octets[8..].copy_from_slice(&id.to_be_bytes());
            self.deliver_as(to, DeliveryId::from_bytes(octets), "", b"", 0);
        }

        /// Delivers the account's next message, at a time.
        pub(crate) fn deliver(
            &mut self,
            to: AccountId,
            id: u8,
            prefix: &str,
            body: &[u8],
            at: i64,
        ) {
            self.deliver_as(to, DeliveryId::from_bytes([id; 16]), prefix, body, at);
        }

        fn deliver_as(
            &mut self,
            to: AccountId,
            id: DeliveryId,
            prefix: &str,
            body: &[u8],
            at: i64,
        ) {
            let account = self.index().account(to).unwrap().unwrap();
            let (uid, modseq) = account.next_message(INBOX).unwrap();
            let message = Message {
                delivery: Some(id),
                received_at_ms: at,
                stored_at_ms: at,
                body_length: body.len() as u64,
                body_sums: body_sums([&Bytes::copy_from_slice(body)]),
                targets: vec![Target {
                    account: to,
                    mailbox: INBOX,
                    uid,
                    modseq,
                    prefix_length: prefix.len() as u32,
                }],
            };
            self.take(&Entry::Message(message), prefix, body);
        }

        fn take(&mut self, entry: &Entry, prefix: &str, body: &[u8]) {
            let prefix = Bytes::copy_from_slice(prefix.as_bytes());
            let (record, _) = entry.encode(&[prefix], &[Bytes::copy_from_slice(body)]);
            let decoded = Entry::decode(record.kind, &record.payload()).unwrap();
            let at = Position {
                segment: 1,
                offset: self.next,
            };
            self.next += 8;
            self.writer.apply([(at, &decoded)], 0).unwrap();
        }
    }
}
