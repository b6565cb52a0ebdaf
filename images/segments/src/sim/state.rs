//! What the simulated disk knows.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::sim::inode::Inode;
use crate::sim::rng::Rng;

/// What a failing disk says, as errno of Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `EIO`.
    Broken,
    /// `ENOSPC`.
    Full,
}

impl Fault {
    pub(super) fn error(self) -> io::Error {
        match self {
            Self::Broken => io::Error::from_raw_os_error(5),
            Self::Full => io::Error::from_raw_os_error(28),
        }
    }
}

pub(super) enum NameChange {
    Create(String, usize),
    /// An entry of this file leaves the first name and takes the second.
    Rename(String, String, usize),
    Remove(String),
}

pub(super) type Names = BTreeMap<String, usize>;

pub(super) struct State {
    pub(super) rng: Rng,
    pub(super) inodes: Vec<Inode>,
    /// What programs see.
    pub(super) names: Names,
    /// What survives a power cut for certain.
    pub(super) durable_names: Names,
    pub(super) pending_names: Vec<NameChange>,
    /// Counts power cuts; files opened before one are dead.
    pub(super) boot: u64,
    pub(super) capacity: Option<u64>,
    pub(super) hold: bool,
    pub(super) held: usize,
    pub(super) lie: bool,
    pub(super) write_fault: Option<Fault>,
    pub(super) sync_fault: Option<Fault>,
    pub(super) syncs: u64,
    /// How many more changes succeed before the disk is dead until the next power cut.
    pub(super) left: Option<u64>,
}

pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
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
            left: None,
        }
    }

    /// Counts one change; fails when the disk has died.
    pub(super) fn spend(&mut self) -> io::Result<()> {
        match &mut self.left {
            Some(0) => Err(Fault::Broken.error()),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Loses what is not certain to be kept, and starts anew.
    pub(super) fn power_cut(&mut self) {
        let Self {
            rng,
            inodes,
            durable_names,
            pending_names,
            ..
        } = self;
        inodes.iter_mut().for_each(|inode| inode.power_cut(rng));
        for change in pending_names.drain(..) {
            if rng.one_in(2) {
                rename(durable_names, &change);
            }
        }
        self.names = self.durable_names.clone();
        self.boot += 1;
        self.hold = false;
        self.write_fault = None;
        self.sync_fault = None;
        self.left = None;
    }

    pub(super) fn change_names(&mut self, change: NameChange) -> io::Result<()> {
        self.spend()?;
        rename(&mut self.names, &change);
        self.pending_names.push(change);
        Ok(())
    }

    /// The file of this name.
    pub(super) fn named(&self, name: &str) -> io::Result<usize> {
        let inode = self.names.get(name).copied();
        inode.ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// Octets of all files that have a name.
    pub(super) fn used(&self) -> u64 {
        let size = |at: &usize| self.inodes[*at].seen().len() as u64;
        self.names.values().map(size).sum()
    }
}

pub(super) fn rename(names: &mut Names, change: &NameChange) {
    match change {
        NameChange::Create(name, inode) => {
            names.insert(name.clone(), *inode);
        }
        NameChange::Rename(from, to, inode) => {
            if names.get(from) == Some(inode) {
                names.remove(from);
            }
            names.insert(to.clone(), *inode);
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The disk, unless its power was cut since that boot.
    pub(super) fn lock_in(&self, boot: u64) -> io::Result<MutexGuard<'_, State>> {
        let state = self.lock();
        match state.boot == boot {
            true => Ok(state),
            false => Err(Fault::Broken.error()),
        }
    }

    pub(super) fn wait(&self, state: &mut MutexGuard<'_, State>) {
        self.changed.wait(state);
    }
}
