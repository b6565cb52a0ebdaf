//! The simulated disk as programs use it.

use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;

use parking_lot::MutexGuard;

use crate::disk::{Disk, DiskFile, Space};
use crate::sim::inode::Inode;
use crate::sim::state::{Fault, NameChange, Shared, State, rename};

/// The disk as one boot has it: dead after the power cut that ends the boot.
pub(super) struct Booted {
    pub(super) shared: Arc<Shared>,
    pub(super) boot: u64,
}

struct SimFile {
    shared: Arc<Shared>,
    inode: usize,
    boot: u64,
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
        Ok(self.file(state.named(name)?))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.lock()?.names.keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock()?;
        let inode = state.named(from)?;
        state.change_names(NameChange::Rename(from.to_owned(), to.to_owned(), inode))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock()?;
        state.named(name)?;
        state.change_names(NameChange::Remove(name.to_owned()))
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.lock()?;
        let state = &mut *state;
        state.spend()?;
        if !state.lie {
            for change in state.pending_names.drain(..) {
                rename(&mut state.durable_names, &change);
            }
        }
        Ok(())
    }

    fn space(&self) -> io::Result<Space> {
        let state = self.lock()?;
        let size = state.capacity.unwrap_or(u64::MAX);
        Ok(Space {
            size,
            free: size.saturating_sub(state.used()),
        })
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
        state.spend()?;
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
        state.spend()?;
        state.syncs += 1;
        state.held += 1;
        self.shared.changed.notify_all();
        while state.hold && state.boot == self.boot {
            self.shared.wait(&mut state);
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
        let mut state = self.lock()?;
        state.spend()?;
        state.inodes[self.inode].cut(size);
        Ok(())
    }
}
