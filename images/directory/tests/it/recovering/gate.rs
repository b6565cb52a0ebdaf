//! A heap of which only the first segments can be read, until somebody opens the gate.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use segments::{Disk, DiskFile, Space};
use storage::volume::{VolumeError, VolumeLock, heap};

/// Octets of a segment's header, which is looked at by itself.
const HEADER: usize = 64;

/// Every gate, by the volume that is behind it.
static GATES: Mutex<BTreeMap<PathBuf, Arc<State>>> = Mutex::new(BTreeMap::new());

/// The gate of one volume; opened when it is dropped, so that no thread waits there for ever.
pub(super) struct Gate {
    data: PathBuf,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Segments that may still be read; none: all.
    left: Mutex<Option<usize>>,
    changed: Condvar,
}

impl Gate {
    /// An open one.
    pub(super) fn before(data: &Path) -> Self {
        let state = Arc::<State>::default();
        GATES.lock().insert(data.to_owned(), state.clone());
        Self {
            data: data.to_owned(),
            state,
        }
    }

    /// Lets so many segments be read.
    pub(super) fn close(&self, segments: usize) {
        *self.state.left.lock() = Some(segments);
    }

    pub(super) fn open(&self) {
        *self.state.left.lock() = None;
        self.state.changed.notify_all();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
        GATES.lock().remove(&self.data);
    }
}

impl State {
    fn pass(&self) {
        let mut left = self.left.lock();
        while *left == Some(0) {
            self.changed.wait(&mut left);
        }
        *left = left.map(|left| left - 1);
    }
}

/// Opens a volume's heap behind its gate.
pub(super) fn open(data: &Path, lock: &VolumeLock) -> Result<Arc<dyn Disk>, VolumeError> {
    let disk = heap(data, lock)?;
    let gate = GATES.lock()[data].clone();
    Ok(Arc::new(Gated { disk, gate }))
}

struct Gated {
    disk: Arc<dyn Disk>,
    gate: Arc<State>,
}

struct GatedFile {
    file: Box<dyn DiskFile>,
    gate: Arc<State>,
}

impl Disk for Gated {
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.create(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = self.disk.open(name)?;
        if !name.ends_with(".segment") {
            return Ok(file);
        }
        let gate = self.gate.clone();
        Ok(Box::new(GatedFile { file, gate }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }

    fn space(&self) -> io::Result<Space> {
        self.disk.space()
    }
}

impl DiskFile for GatedFile {
    fn write_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.file.write_at(parts, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if buffer.len() > HEADER {
            self.gate.pass();
        }
        self.file.read_at(buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.file.truncate(size)
    }
}
