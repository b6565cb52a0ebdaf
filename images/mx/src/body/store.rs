//! Where bodies may be kept, and how much of them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Budgets are counted in pieces of so many octets.
const PIECE: u64 = 1024;

/// The budgets of all bodies of a process, and the folder for those that do not fit into memory.
#[derive(Debug)]
pub struct BodyStore {
    folder: PathBuf,
    memory: Arc<Semaphore>,
    disk: Arc<Semaphore>,
    per_body: usize,
    next: AtomicU64,
}

impl BodyStore {
    /// Empties or makes `folder`. `memory` and `disk` are octets over all bodies; `per_body` is
    /// what one may hold in memory.
    pub fn open(folder: &Path, memory: u64, disk: u64, per_body: usize) -> io::Result<Arc<Self>> {
        fs::create_dir_all(folder)?;
        // A crash may leave a file between its creation and the removal of its name.
        for entry in fs::read_dir(folder)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(Arc::new(Self {
            folder: folder.to_owned(),
            memory: budget(memory),
            disk: budget(disk),
            per_body,
            next: AtomicU64::new(0),
        }))
    }

    pub(super) fn per_body(&self) -> usize {
        self.per_body
    }

    pub(super) fn reserve_memory(&self, octets: usize) -> Option<OwnedSemaphorePermit> {
        reserve(&self.memory, octets)
    }

    pub(super) fn reserve_disk(&self, octets: usize) -> Option<OwnedSemaphorePermit> {
        reserve(&self.disk, octets)
    }

    /// A new file whose name is gone already, so that it ends with its last user.
    pub(super) fn create(&self) -> io::Result<File> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("body-{number}"));
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create_new(true)
            .open(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    }
}

fn budget(octets: u64) -> Arc<Semaphore> {
    let pieces = usize::try_from(octets / PIECE).unwrap_or(usize::MAX);
    Arc::new(Semaphore::new(pieces.min(Semaphore::MAX_PERMITS)))
}

fn reserve(budget: &Arc<Semaphore>, octets: usize) -> Option<OwnedSemaphorePermit> {
    let pieces = u32::try_from((octets as u64).div_ceil(PIECE)).ok()?;
    budget.clone().try_acquire_many_owned(pieces).ok()
}
