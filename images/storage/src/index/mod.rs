//! The index: everything that follows from the heap, in an ordered key-value store.
//!
//! It is never synced on the way of a change; each batch holds the heap position that it reflects,
//! so a start replays from there. It lives in one keyspace of fjall: then a table that was flushed
//! and the journal that was lost in a power cut cannot be of different times. On any doubt it is
//! thrown away and rebuilt: nothing is only here.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use fjall::{
    Database, Guard, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable as _,
};
use prost::Message as _;
use segments::Position;
use wire::ids::{AccountId, DeliveryId};

use crate::account::{Account, Mailbox};
use crate::records::proto::{
    AccountRow, DeliveryRow, Holding, MailboxRow, MessageRow, ProgressRow, VolumeRow,
};
use crate::volume::VolumeLock;

mod keys;
mod trouble;
pub mod writer;

pub use self::trouble::Trouble;

/// Blocks of tables kept in memory: a working set of some million rows.
pub const CACHE_BYTES: u64 = 64 << 20;

/// Open files of tables: well below the usual limit of 1,024, with the heap's.
const OPEN_FILES: usize = 256;

/// What rows hold and mean; to be raised with every change of that.
const FORM: u32 = 2;

/// The index of one shard. Cheap to clone. Calls may read a disk.
#[derive(Clone)]
pub struct Index {
    rows: Keyspace,
    database: Database,
    damage: Damage,
    /// The last field: it is given back when the store is closed.
    _lock: Option<VolumeLock>,
}

/// Who is told that damage was found: reading goes on in many places, and one must act on it.
type Damage = Arc<OnceLock<Box<dyn Fn(&IndexError) + Send + Sync>>>;

/// How far an index has come, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The last record that it reflects.
    pub at: Position,
    /// That record's [`writer::fingerprint`].
    pub sum: u64,
    /// The id of the heap's log.
    pub log: u64,
    /// Sum over all accounts: see [`Index::verify`].
    pub accounts: u64,
}

/// Why the index cannot be used; [`IndexError::trouble`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The store failed.
    #[error("the index cannot {what}: {source}")]
    Store {
        /// What was tried.
        what: &'static str,
        /// What the store said.
        source: fjall::Error,
    },
    /// A row is not what its key says.
    #[error("the index has a row that is not {0}")]
    Row(&'static str),
    /// Another release made it.
    #[error("the index has rows of form {0}, and this program's are of form {FORM}")]
    Form(u32),
    /// Some of it is there and some is not.
    #[error("the index is not whole: {0}")]
    Torn(&'static str),
    /// The store panicked over what it read.
    #[error("the store of the index panicked over what it read")]
    Panicked,
}

impl IndexError {
    fn store(what: &'static str) -> impl FnOnce(fjall::Error) -> Self {
        move |source| Self::Store { what, source }
    }
}

type Result<T> = std::result::Result<T, IndexError>;

/// One message of a mailbox.
pub type Message = (u32, MessageRow);

impl Index {
    /// Opens the index in a folder, or makes one. It keeps `lock` for as long as it is open.
    pub fn open(folder: &Path, lock: Option<VolumeLock>) -> Result<Self> {
        check_journal(folder)?;
        // A store that is not ours may panic over files that are not as it left them.
        let open = AssertUnwindSafe(|| Self::open_store(folder, lock));
        catch_unwind(open).unwrap_or(Err(IndexError::Panicked))
    }

    fn open_store(folder: &Path, lock: Option<VolumeLock>) -> Result<Self> {
        let database = Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .max_cached_files(Some(OPEN_FILES))
            .open()
            .map_err(IndexError::store("be opened"))?;
        let rows = database
            .keyspace("rows", KeyspaceCreateOptions::default)
            .map_err(IndexError::store("be opened"))?;
        Ok(Self {
            rows,
            database,
            damage: Damage::default(),
            _lock: lock,
        })
    }

    /// Says who is told when reading finds damage; the first to ask is.
    pub fn on_damage(&self, tell: impl Fn(&IndexError) + Send + Sync + 'static) {
        let _later = self.damage.set(Box::new(tell));
    }

    /// Whether a mailbox lists as many messages as it counts, at one instant: two looks at the rows
    /// may fall into the middle of a batch, of which they see a part.
    pub fn counts_what_it_lists(&self, id: AccountId, mailbox: u32) -> Result<bool> {
        let instant = self.database.snapshot();
        let failed = || IndexError::store("be read");
        let row = instant
            .get(&self.rows, keys::mailbox(id, mailbox))
            .map_err(failed())?;
        let row = row.map(|row| MailboxRow::decode(&*row));
        let row = row.transpose().map_err(|_| IndexError::Row("a mailbox"))?;
        let range = keys::message(id, mailbox, 0)..=keys::message(id, mailbox, u32::MAX);
        let listed = instant.range(&self.rows, range).count() as u64;
        Ok(row.map_or(0, |row| row.messages) == listed)
    }

    /// What was counted and what is listed differ.
    pub fn differs(&self) -> IndexError {
        let error = IndexError::Torn("a mailbox does not list as many messages as it counts");
        noted::<()>(&self.damage, Err(error))
            .err()
            .unwrap_or(IndexError::Row("a mailbox"))
    }

    /// How far it has come; `None` for a new index.
    pub fn progress(&self) -> Result<Option<Progress>> {
        let row: Option<ProgressRow> = self.get(&keys::PROGRESS, "progress")?;
        row.map(|row| match row.applied {
            _ if row.form != FORM => Err(IndexError::Form(row.form)),
            Some(at) => Ok(Progress {
                at: at.into(),
                sum: row.sum,
                log: row.log,
                accounts: row.accounts,
            }),
            None => Err(IndexError::Row("progress")),
        })
        .transpose()
    }

    /// Reads every account, shows it to `see`, and holds all of them against the sum that the last
    /// batch wrote. A store that lost a part of what was written to it, and not what came later,
    /// opens without a word; what is decided by its accounts would then be wrong.
    pub fn verify(&self, mut see: impl FnMut(AccountId, &Account)) -> Result<()> {
        let progress = self.progress()?;
        let mut sum = 0_u64;
        let mut any = false;
        for account in self.accounts() {
            let (id, account) = account?;
            any = true;
            sum = sum.wrapping_add(writer::account_sum(id, &account));
            see(id, &account);
        }
        match progress {
            None if any => Err(IndexError::Torn("it does not say how far it has come")),
            Some(progress) if progress.accounts != sum => {
                Err(IndexError::Torn("accounts were lost that it had"))
            }
            _ => Ok(()),
        }
    }

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
    fn deliveries_from(
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
        noted(&self.damage, is.map_err(IndexError::store("be read")))
    }

    /// Makes all of it durable, so that a start after a power cut replays only what follows.
    pub fn persist(&self) -> Result<()> {
        self.database
            .persist(PersistMode::SyncAll)
            .map_err(IndexError::store("be synced"))
    }

    /// Segments of the heap that live messages are in.
    pub fn live_segments(&self) -> Result<BTreeSet<u64>> {
        self.rows
            .prefix(*b"M")
            .map(|guard| {
                let (_, row) = read::<MessageRow>(guard, "a message")?;
                row.at
                    .map(|at| at.segment)
                    .ok_or(IndexError::Row("a message"))
            })
            .collect()
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

    fn batch(&self) -> OwnedWriteBatch {
        self.database.batch()
    }

    fn get<T: prost::Message + Default>(
        &self,
        key: &[u8],
        what: &'static str,
    ) -> Result<Option<T>> {
        let value = self.rows.get(key).map_err(IndexError::store("be read"));
        let row = value.and_then(|value| {
            value
                .map(|value| T::decode(&*value).map_err(|_| IndexError::Row(what)))
                .transpose()
        });
        noted(&self.damage, row)
    }
}

/// Tells of damage, once it is known who is to be told.
fn noted<T>(damage: &Damage, result: Result<T>) -> Result<T> {
    if let Err(error) = &result
        && let Some(tell) = damage.get()
    {
        match error.trouble() {
            Trouble::Damage => tell(error),
            Trouble::Passing => {}
        }
    }
    result
}

/// The store always has a journal. Without one it opens all the same, and counts its changes anew
/// from nothing: later ones would be hidden behind older ones.
fn check_journal(folder: &Path) -> Result<()> {
    let names = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        names => names.map_err(|error| IndexError::store("be listed")(error.into()))?,
    };
    let mut is_new = true;
    for name in names {
        is_new = false;
        let name = name.map_err(|error| IndexError::store("be listed")(error.into()))?;
        if name.path().extension().is_some_and(|end| end == "jnl") {
            return Ok(());
        }
    }
    match is_new {
        true => Ok(()),
        false => Err(IndexError::Torn("its journal is missing")),
    }
}

fn read<T: prost::Message + Default>(
    guard: Guard,
    what: &'static str,
) -> Result<(fjall::UserKey, T)> {
    let (key, value) = guard.into_inner().map_err(IndexError::store("be read"))?;
    let row = T::decode(&*value).map_err(|_| IndexError::Row(what))?;
    Ok((key, row))
}

/// Feeds any octets to everything that reads keys and rows; what is read is what was written.
pub(crate) fn fuzz(data: &[u8]) {
    keys::fuzz(data);
    if let Ok(row) = AccountRow::decode(data) {
        let account = Account::from(row);
        assert_eq!(Account::from(AccountRow::from(&account)), account);
    }
    if let Ok(row) = MailboxRow::decode(data) {
        let mailbox = Mailbox::from(row);
        assert_eq!(Mailbox::from(MailboxRow::from(&mailbox)), mailbox);
    }
    let again = |row: &MessageRow| MessageRow::decode(&*row.encode_to_vec());
    if let Ok(row) = MessageRow::decode(data) {
        assert_eq!(again(&row), Ok(row));
    }
    // These have no reading of their own; they must be refused or read, never more.
    let _ = (
        ProgressRow::decode(data),
        VolumeRow::decode(data),
        DeliveryRow::decode(data),
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows() -> Vec<Vec<u8>> {
        let at = Some(Default::default());
        vec![
            AccountRow {
                holding: Holding::Fenced.into(),
                epoch: 7,
                move_id: vec![1; 16].into(),
                peer: "b".to_owned(),
                changed: at,
                ..AccountRow::default()
            }
            .encode_to_vec(),
            MailboxRow {
                name: "INBOX".to_owned(),
                uid_next: 9,
                ..MailboxRow::default()
            }
            .encode_to_vec(),
            MessageRow {
                at,
                modseq: 8,
                body_length: 1 << 40,
                flags: vec!["x".to_owned()],
                ..MessageRow::default()
            }
            .encode_to_vec(),
        ]
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_rows(which in 0_usize..3, position: prop::sample::Index, octet: u8) {
            let mut row = rows().swap_remove(which);
            let at = position.index(row.len());
            row[at] = octet;
            fuzz(&row);
        }
    }

    #[test]
    fn another_form_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(folder.path(), None).unwrap();
        let older = ProgressRow {
            applied: Some(Default::default()),
            ..ProgressRow::default()
        };
        let written = index.rows.insert(keys::PROGRESS, older.encode_to_vec());
        written.unwrap();
        assert!(matches!(index.progress(), Err(IndexError::Form(0))));
    }
}
