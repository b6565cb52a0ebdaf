//! Who has the volume: one process, until the last part of the volume is closed.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use segments::{Disk, DiskFile, RealDisk, Space};
use wire::ids::Incarnation;

use super::VolumeError;

/// Longest text of a lock file that is read: ours is a line.
const LOCK_TEXT: u64 = 1000;

/// The volume's lock. Clones are the same lock; it is given back when the last one is dropped, or
/// when the process ends in any way. Heap and index have one each, so that nobody else has the
/// volume before both are closed, their threads too.
#[derive(Debug, Clone)]
pub struct VolumeLock {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    file: File,
    path: PathBuf,
}

/// How often a volume that is still locked is tried again.
const LOOK: Duration = Duration::from_millis(200);

impl VolumeLock {
    /// As [`Self::take`]; waits for whoever still has the volume, an ending process mostly, until
    /// `patience` is over or `stop` says so. Blocks.
    pub fn wait(
        folder: &Path,
        patience: Duration,
        stop: impl Fn() -> bool,
    ) -> Result<Self, VolumeError> {
        let deadline = Instant::now() + patience;
        let mut said = false;
        loop {
            match Self::take(folder) {
                Err(locked @ VolumeError::Locked { .. })
                    if Instant::now() < deadline && !stop() =>
                {
                    if !std::mem::replace(&mut said, true) {
                        tracing::warn!(%locked, ?patience, "waiting for the volume");
                    }
                    std::thread::sleep(LOOK);
                }
                taken => return taken,
            }
        }
    }

    /// Locks the volume in `folder`, which is made if need be, or says who has it.
    pub fn take(folder: &Path) -> Result<Self, VolumeError> {
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| VolumeError::Io { what, path, source }
        };
        // A folder whose name is not durable may vanish with all that was synced in it. It may have
        // been made by somebody who synced nothing.
        segments::make_folder(folder).map_err(io("make", folder))?;
        let path = folder.join("lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self {
                held: Arc::new(Held { file, path }),
            }),
            Err(TryLockError::WouldBlock) => {
                let mut octets = Vec::new();
                // What cannot be read names nobody; the refusal stands.
                let _ = Read::take(&file, LOCK_TEXT).read_to_end(&mut octets);
                let holder = shown(&octets);
                Err(VolumeError::Locked { file: path, holder })
            }
            Err(TryLockError::Error(source)) => Err(io("lock", &path)(source)),
        }
    }

    /// Which file is locked: a copy of the volume has another one. Its device and inode.
    pub fn file(&self) -> Result<(u64, u64), VolumeError> {
        let Held { file, path } = &*self.held;
        let metadata = file.metadata().map_err(|source| VolumeError::Io {
            what: "look at",
            path: path.clone(),
            source,
        })?;
        Ok((metadata.dev(), metadata.ino()))
    }

    /// Writes into the lock file who has the volume.
    pub fn name_holder(&self, incarnation: Incarnation) -> Result<(), VolumeError> {
        let text = format!("pid {}, incarnation {incarnation}\n", std::process::id());
        let Held { file, path } = &*self.held;
        let mut writer: &File = file;
        let written = file
            .set_len(0)
            .and_then(|()| writer.seek(SeekFrom::Start(0)))
            .and_then(|_| writer.write_all(text.as_bytes()));
        written.map_err(|source| VolumeError::Io {
            what: "write",
            path: path.clone(),
            source,
        })
    }
}

/// What a lock file says, fit to be shown.
fn shown(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    let fit = |c: char| if c.is_control() { '?' } else { c };
    text.trim().chars().map(fit).collect()
}

/// Any octets may stand in a lock file.
pub(crate) fn fuzz(data: &[u8]) {
    assert!(!shown(data).contains(char::is_control));
}

/// How the heap's folder on a volume is opened: [`heap`], or what stands for it.
pub type OpenHeap = fn(&Path, &VolumeLock) -> Result<Arc<dyn Disk>, VolumeError>;

/// The heap's folder on the volume in `data`. It keeps the volume's lock for as long as it is used.
pub fn heap(data: &Path, lock: &VolumeLock) -> Result<Arc<dyn Disk>, VolumeError> {
    let path = data.join("heap");
    let disk = RealDisk::open(&path).map_err(|source| VolumeError::Io {
        what: "open",
        path,
        source,
    })?;
    let _lock = lock.clone();
    Ok(Arc::new(Kept { disk, _lock }))
}

/// A folder together with the lock that it is under.
struct Kept {
    disk: RealDisk,
    _lock: VolumeLock,
}

impl Disk for Kept {
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.create(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Disk::open(&self.disk, name)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }
    }

    #[test]
    fn a_locked_volume_names_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let lock = VolumeLock::take(folder.path()).unwrap();
        lock.name_holder(Incarnation(7)).unwrap();
        let error = VolumeLock::take(folder.path()).unwrap_err().to_string();
        let holder = format!("(pid {}, incarnation 7)", std::process::id());
        assert!(error.contains(&holder), "{error}");
        assert!(error.contains(folder.path().to_str().unwrap()), "{error}");
        drop(lock);
        assert!(VolumeLock::take(folder.path()).is_ok());
    }

    #[test]
    fn a_volume_that_is_let_go_of_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/volume");
        let lock = VolumeLock::take(&path).unwrap();
        let none = Duration::ZERO;
        assert!(VolumeLock::wait(&path, none, || false).is_err());
        let long = Duration::from_secs(60);
        assert!(VolumeLock::wait(&path, long, || true).is_err());
        let waiting = {
            let path = path.clone();
            std::thread::spawn(move || VolumeLock::wait(&path, long, || false).is_ok())
        };
        drop(lock);
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn a_heap_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let lock = VolumeLock::take(folder.path()).unwrap();
        let heap = heap(folder.path(), &lock).unwrap();
        drop(lock);
        assert!(VolumeLock::take(folder.path()).is_err());
        drop(heap);
        assert!(VolumeLock::take(folder.path()).is_ok());
    }
}
