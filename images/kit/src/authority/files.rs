//! Writing keys and certificates so that a crash leaves the old file or the new one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::AuthorityError;

/// Mode of keys.
pub(super) const PRIVATE: u32 = 0o600;
/// Mode of certificates.
pub(super) const PUBLIC: u32 = 0o644;

/// Writes a file that only its owner may read, replacing an earlier one whole.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    prepare(path, bytes, PRIVATE)?;
    put_in_place(path)?;
    sync_dir_of(path)
}

/// Replaces files of one folder, in the order given. All are written and synced before the first
/// is put in its place, so that they change together but for an instant.
pub(super) fn replace(files: &[(&Path, &[u8], u32)]) -> Result<(), AuthorityError> {
    for (path, bytes, mode) in files {
        prepare(path, bytes, *mode).map_err(|source| failed(path, source))?;
    }
    for (path, _, _) in files {
        put_in_place(path).map_err(|source| failed(path, source))?;
    }
    match files.last() {
        Some((path, _, _)) => sync_dir_of(path).map_err(|source| failed(path, source)),
        None => Ok(()),
    }
}

pub(super) fn read(path: &Path) -> Result<String, AuthorityError> {
    fs::read_to_string(path).map_err(|source| failed(path, source))
}

/// Makes a folder for keys; one that exists keeps its mode.
pub(super) fn create_dir(dir: &Path) -> Result<(), AuthorityError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| failed(dir, source))
}

fn prepare(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = path.with_extension(NEW);
    // Left by a crash; its mode may be another.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn put_in_place(path: &Path) -> io::Result<()> {
    fs::rename(path.with_extension(NEW), path)
}

fn sync_dir_of(path: &Path) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
}

/// Extension of a file that is not in its place yet.
const NEW: &str = "new";

fn failed(path: &Path, source: io::Error) -> AuthorityError {
    AuthorityError::Io {
        path: path.to_owned(),
        source,
    }
}
