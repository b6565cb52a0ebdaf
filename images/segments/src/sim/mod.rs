//! A disk for tests: keeps apart what was synced and what was not, and loses the rest when its
//! power is cut.
//!
//! It is as unkind as the rules of POSIX allow: of unsynced writes any blocks survive, torn ones
//! too; unsynced names vanish or stay; after a failed sync it shows what is not on the disk, and
//! the next sync succeeds. Every decision follows from the seed.

mod booted;
mod inode;
mod rng;
mod state;

use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};

pub use self::rng::Rng;
pub use self::state::Fault;

use self::booted::Booted;
use self::state::{Shared, State};
use crate::disk::Disk;

/// The disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    shared: Arc<Shared>,
}

impl SimDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State::new(seed)),
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
        self.lock().power_cut();
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
            self.shared.wait(&mut state);
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

    /// After so many more changes (writes, cuts, syncs, names) the disk is dead until the next
    /// power cut: nothing that came later is on it.
    pub fn die_after(&self, changes: u64) {
        self.lock().left = Some(changes);
    }

    /// Whether it died.
    pub fn is_dead(&self) -> bool {
        self.lock().left == Some(0)
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
