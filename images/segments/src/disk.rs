//! The file layer: everything the log does to a disk goes through it.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// A flat folder of files. Calls block; the log makes them from its own threads.
pub trait Disk: Send + Sync + 'static {
    /// Makes a new, empty file; fails if the name is taken.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file to read and write.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Every file's name, in no order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Renames, replacing what had the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a name.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes every name created, renamed or removed so far durable.
    fn sync_dir(&self) -> io::Result<()>;
    /// How large the disk is, and how much of it is free.
    fn space(&self) -> io::Result<Space>;
}

/// Octets of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Space {
    /// What there is to write in: used or free. What a file system keeps for root is no part of it.
    pub size: u64,
    /// What may still be written.
    pub free: u64,
}

impl Space {
    /// Of the disk that a folder is on.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let stat = rustix::fs::statvfs(folder)?;
        let octets = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Self {
            size: octets((stat.f_blocks - stat.f_bfree).saturating_add(stat.f_bavail)),
            free: octets(stat.f_bavail),
        })
    }

    /// Whether less than so many in a hundred are free once `coming` octets more are written.
    pub fn is_below(&self, percent: u64, coming: u64) -> bool {
        let free = u128::from(self.free.saturating_sub(coming));
        free * 100 < u128::from(self.size) * u128::from(percent)
    }
}

/// One open file.
pub trait DiskFile: Send + Sync {
    /// Writes all parts, one after another, from `offset` on. The slices are used up.
    fn write_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()>;
    /// Fills `buffer` from `offset` on, as far as the file goes; returns how far.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// The file's length in octets.
    fn size(&self) -> io::Result<u64>;
    /// Makes what was written durable, with as much metadata as reading it back needs.
    fn sync_data(&self) -> io::Result<()>;
    /// Makes everything about the file durable, a truncation too.
    fn sync_all(&self) -> io::Result<()>;
    /// Cuts the file.
    fn truncate(&self, size: u64) -> io::Result<()>;
}

/// `IOV_MAX` of Linux: what one vectored write takes.
const MAX_SLICES: usize = 1024;

/// A folder of the machine. Only one process at a time has it.
#[derive(Debug)]
pub struct RealDisk {
    path: PathBuf,
    folder: File,
}

impl RealDisk {
    /// Makes the folder if it is not there, and locks it. Fails with `ResourceBusy` when another
    /// process, or another `RealDisk` of this one, has it.
    pub fn open(path: &Path) -> io::Result<Self> {
        make_folder(path)?;
        let folder = File::open(path)?;
        rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            let text = format!("{} is in use by another process", path.display());
            io::Error::new(ErrorKind::ResourceBusy, text)
        })?;
        Ok(Self {
            path: path.to_owned(),
            folder,
        })
    }
}

/// Makes a folder and those above it that are missing; each is durable in the one above, and so is
/// this one if it was there: nobody knows whether whoever made it synced that.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let above = match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        // The root, or what a relative path begins at.
        _ if path.has_root() => return Ok(()),
        _ => Path::new("."),
    };
    if !above.is_dir() {
        make_folder(above)?;
    }
    match std::fs::create_dir(path) {
        Err(_) if path.is_dir() => {}
        made => made?,
    }
    match File::open(above).and_then(|above| above.sync_all()) {
        // Whoever made it may do more than this process, or the folder is where a volume is mounted.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied
                    | ErrorKind::ReadOnlyFilesystem
                    | ErrorKind::InvalidInput
            ) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

impl Disk for RealDisk {
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create_new(true)
            .open(self.path.join(name))?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).open(self.path.join(name))?;
        Ok(Box::new(RealFile(file)))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            // Names that are not UTF-8 are not the log's.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.folder.sync_all()
    }

    fn space(&self) -> io::Result<Space> {
        Space::of(&self.path)
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn write_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut left = parts;
        let mut at = offset;
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            let count = left.len().min(MAX_SLICES);
            match rustix::io::pwritev(&self.0, &left[..count], at) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    IoSlice::advance_slices(&mut left, written);
                    at += written as u64;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_more_slices_than_one_call_takes() {
        let folder = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(&folder.path().join("deep/er")).unwrap();
        let file = disk.create("a").unwrap();
        let octets: Vec<u8> = (0..5000_u32).map(|i| i as u8).collect();
        let mut parts: Vec<_> = octets.chunks(1).map(IoSlice::new).collect();
        file.write_at(&mut parts, 3).unwrap();
        let mut read = vec![0; 6000];
        assert_eq!(file.read_at(&mut read, 3).unwrap(), 5000);
        assert_eq!(&read[..5000], octets);
        assert_eq!(file.size().unwrap(), 5003);
    }

    #[test]
    fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = RealDisk::open(folder.path()).unwrap();
        let error = RealDisk::open(folder.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourceBusy);
        drop(first);
        assert!(RealDisk::open(folder.path()).is_ok());
    }

    #[test]
    fn space() {
        let folder = tempfile::tempdir().unwrap();
        let space = RealDisk::open(folder.path()).unwrap().space().unwrap();
        assert!(space.size > 0 && space.free <= space.size, "{space:?}");
        let space = Space {
            size: 1000,
            free: 50,
        };
        assert!(!space.is_below(5, 0) && space.is_below(5, 1));
        assert!(!space.is_below(0, 2000) && space.is_below(1, 2000));
        let huge = Space {
            size: u64::MAX,
            free: u64::MAX / 21,
        };
        assert!(huge.is_below(5, 0));
        assert!(Space::of(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn names() {
        let folder = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(folder.path()).unwrap();
        disk.create("a").unwrap();
        assert!(disk.create("a").is_err());
        disk.rename("a", "b").unwrap();
        disk.sync_dir().unwrap();
        assert_eq!(disk.list().unwrap(), ["b"]);
        disk.remove("b").unwrap();
        assert!(disk.open("b").is_err());
    }
}
