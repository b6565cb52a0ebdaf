//! A disk for tests: keeps apart what was synced and what was not, and loses the rest when its
//! power is cut.
//!
//! It is as unkind as the rules of POSIX allow: of unsynced writes any blocks survive, torn ones
//! too; unsynced names vanish or stay; after a failed sync it shows what is not on the disk, and
//! the next sync succeeds. Every decision follows from the seed.

mod inode;
mod rng;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

pub use self::rng::Rng;

use self::inode::Inode;
use crate::disk::{Disk, DiskFile};

/// What a failing disk says, as errno of Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `EIO`.
    Broken,
    /// `ENOSPC`.
    Full,
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Self::Broken => io::Error::from_raw_os_error(5),
            Self::Full => io::Error::from_raw_os_error(28),
        }
    }
}

enum NameChange {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

type Names = BTreeMap<String, usize>;

struct State {
    rng: Rng,
    inodes: Vec<Inode>,
    /// What programs see.
    names: Names,
    /// What survives a power cut for certain.
    durable_names: Names,
    pending_names: Vec<NameChange>,
    /// Counts power cuts; files opened before one are dead.
    boot: u64,
    capacity: Option<u64>,
    hold: bool,
    held: usize,
    lie: bool,
    write_fault: Option<Fault>,
    sync_fault: Option<Fault>,
    syncs: u64,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    shared: Arc<Shared>,
}

/// The disk as one boot has it: dead after the power cut that ends the boot.
struct Booted {
    shared: Arc<Shared>,
    boot: u64,
}

struct SimFile {
    shared: Arc<Shared>,
    inode: usize,
    boot: u64,
}

impl SimDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        let state = State {
            rng: Rng::new(seed),
            inodes: Vec::new(),
            names: Names::new(),
            durable_names: Names::new(),
            pending_names: Vec::new(),
            boot: 0,
            capacity: None,
            hold: false,
            held: 0,
            lie: false,
            write_fault: None,
            sync_fault: None,
            syncs: 0,
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                changed: Condvar::new(),
            }),
        }
    }

    /// The disk for what runs until the next power cut; after that, whatever uses it fails.
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(Booted {
            shared: Arc::clone(&self.shared),
            boot: self.lock().boot,
        })
    }

    /// Cuts the power and boots again. Whatever was open fails from now on; held syncs fail.
    pub fn power_cut(&self) {
        let mut state = self.lock();
        let State {
            rng,
            inodes,
            durable_names,
            pending_names,
            ..
        } = &mut *state;
        inodes.iter_mut().for_each(|inode| inode.power_cut(rng));
        for change in pending_names.drain(..) {
            if rng.one_in(2) {
                rename(durable_names, &change);
            }
        }
        state.names = state.durable_names.clone();
        state.boot += 1;
        state.hold = false;
        state.write_fault = None;
        state.sync_fault = None;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// From now on no sync of a file returns.
    pub fn hold_syncs(&self) {
        self.lock().hold = true;
    }

    /// Lets held syncs, and later ones, return.
    pub fn release_syncs(&self) {
        self.lock().hold = false;
        self.shared.changed.notify_all();
    }

    /// Waits until a sync is held. Blocks.
    pub fn wait_for_held_sync(&self) {
        let mut state = self.lock();
        while state.held == 0 {
            state = self.shared.wait(state);
        }
    }

    /// Syncs of files so far, failed ones included.
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// Makes syncs return at once without making anything durable, as a disk that lies does.
    pub fn lie_about_syncs(&self, lie: bool) {
        self.lock().lie = lie;
    }

    /// The next write fails, after some of it was written.
    pub fn fail_next_write(&self, fault: Fault) {
        self.lock().write_fault = Some(fault);
    }

    /// The next sync of a file fails; some of what it should have kept is lost for good.
    pub fn fail_next_sync(&self, fault: Fault) {
        self.lock().sync_fault = Some(fault);
    }

    /// Files together may not grow beyond this; `None`: they may.
    pub fn set_capacity(&self, octets: Option<u64>) {
        self.lock().capacity = octets;
    }

    /// Names of all files, sorted.
    pub fn files(&self) -> Vec<String> {
        self.lock().names.keys().cloned().collect()
    }

    /// What a file holds; empty if there is none.
    pub fn contents(&self, name: &str) -> Vec<u8> {
        let state = self.lock();
        let inode = state.names.get(name);
        inode.map_or_else(Vec::new, |at| state.inodes[*at].seen().to_vec())
    }

    /// Changes a file behind everyone's back, as a broken disk does.
    pub fn tamper(&self, name: &str, change: impl Fn(&mut Vec<u8>)) {
        let mut state = self.lock();
        if let Some(at) = state.names.get(name).copied() {
            state.inodes[at].tamper(change);
        }
    }

    /// Flips one bit of a file.
    pub fn flip_bit(&self, name: &str, bit: u64) {
        self.tamper(name, |octets| octets[(bit / 8) as usize] ^= 1 << (bit % 8));
    }

    /// Makes a file vanish.
    pub fn lose(&self, name: &str) {
        let mut state = self.lock();
        state.names.remove(name);
        state.durable_names.remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }
}

impl State {
    fn change_names(&mut self, change: NameChange) -> io::Result<()> {
        if let NameChange::Rename(name, _) | NameChange::Remove(name) = &change
            && !self.names.contains_key(name)
        {
            return Err(ErrorKind::NotFound.into());
        }
        rename(&mut self.names, &change);
        self.pending_names.push(change);
        Ok(())
    }

    /// Octets of all files that have a name.
    fn used(&self) -> u64 {
        let size = |at: &usize| self.inodes[*at].seen().len() as u64;
        self.names.values().map(size).sum()
    }
}

fn rename(names: &mut Names, change: &NameChange) {
    match change {
        NameChange::Create(name, inode) => {
            names.insert(name.clone(), *inode);
        }
        NameChange::Rename(from, to) => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk, unless its power was cut since that boot.
    fn lock_in(&self, boot: u64) -> io::Result<MutexGuard<'_, State>> {
        let state = self.lock();
        match state.boot == boot {
            true => Ok(state),
            false => Err(Fault::Broken.error()),
        }
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Booted {
    fn lock(&self) -> io::Result<MutexGuard<'_, State>> {
        self.shared.lock_in(self.boot)
    }

    fn file(&self, inode: usize) -> Box<dyn DiskFile> {
        Box::new(SimFile {
            shared: Arc::clone(&self.shared),
            inode,
            boot: self.boot,
        })
    }
}

impl Disk for Booted {
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.lock()?;
        if state.names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.change_names(NameChange::Create(name.to_owned(), inode))?;
        Ok(self.file(inode))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let state = self.lock()?;
        let inode = state.names.get(name).ok_or(ErrorKind::NotFound)?;
        Ok(self.file(*inode))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.lock()?.names.keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let change = NameChange::Rename(from.to_owned(), to.to_owned());
        self.lock()?.change_names(change)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.lock()?
            .change_names(NameChange::Remove(name.to_owned()))
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.lock()?;
        let state = &mut *state;
        if !state.lie {
            for change in state.pending_names.drain(..) {
                rename(&mut state.durable_names, &change);
            }
        }
        Ok(())
    }
}

impl SimFile {
    fn lock(&self) -> io::Result<MutexGuard<'_, State>> {
        self.shared.lock_in(self.boot)
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut octets: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let mut state = self.lock()?;
        let grown = (offset + octets.len() as u64)
            .saturating_sub(state.inodes[self.inode].seen().len() as u64);
        let mut fault = state.write_fault.take();
        if state
            .capacity
            .is_some_and(|most| state.used() + grown > most)
        {
            fault = Some(Fault::Full);
        }
        if fault.is_some() {
            let some = state.rng.below(octets.len() as u64 + 1);
            octets.truncate(some as usize);
        }
        state.inodes[self.inode].write(offset, octets);
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.lock()?;
        let seen = state.inodes[self.inode].seen();
        let rest = seen.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.lock()?.inodes[self.inode].seen().len() as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.lock()?;
        state.syncs += 1;
        state.held += 1;
        self.shared.changed.notify_all();
        while state.hold && state.boot == self.boot {
            state = self.shared.wait(state);
        }
        state.held -= 1;
        if state.boot != self.boot {
            return Err(Fault::Broken.error());
        }
        let state = &mut *state;
        let inode = &mut state.inodes[self.inode];
        if let Some(fault) = state.sync_fault.take() {
            inode.fail_sync(&mut state.rng);
            return Err(fault.error());
        }
        if !state.lie {
            inode.sync();
        }
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.lock()?.inodes[self.inode].cut(size);
        Ok(())
    }
}
