//! The index: everything that follows from the heap, in an ordered key-value store.
//!
//! It is never synced on the way of a change; each batch holds the heap position that it reflects,
//! so a start replays from there. It lives in one keyspace of fjall: then a table that was flushed
//! and the journal that was lost in a power cut cannot be of different times. On any doubt it is
//! thrown away and rebuilt: nothing is only here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use segments::Position;

use crate::records::proto::MessageRow;
use crate::volume::VolumeLock;

mod fuzz;
mod keys;
mod proof;
mod rows;
mod trouble;
pub mod writer;

pub(crate) use self::fuzz::fuzz;
use self::proof::check_journal;
use self::trouble::failed;
pub use self::trouble::{IndexError, Trouble};

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
            .map_err(failed("be opened"))?;
        let rows = database
            .keyspace("rows", KeyspaceCreateOptions::default)
            .map_err(failed("be opened"))?;
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

    /// Makes all of it durable, so that a start after a power cut replays only what follows.
    pub fn persist(&self) -> Result<()> {
        self.database
            .persist(PersistMode::SyncAll)
            .map_err(failed("be synced"))
    }

    fn batch(&self) -> OwnedWriteBatch {
        self.database.batch()
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

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use super::*;

    /// A store needs milliseconds.
    const SOON: Duration = Duration::from_secs(30);

    /// Lets a write of the store fail in the background, as it does without room, while what is
    /// written can be read.
    pub(crate) fn poison(index: &Index, folder: &Path) {
        let keyspaces = folder.join("keyspaces");
        let away = folder.join("keyspaces.away");
        fs::rename(&keyspaces, &away).unwrap();
        index.rows.rotate_memtable().unwrap();
        let began = Instant::now();
        while index.persist().is_ok() {
            assert!(began.elapsed() < SOON, "the store does not mind");
            std::thread::yield_now();
        }
        fs::rename(&away, &keyspaces).unwrap();
    }
}
