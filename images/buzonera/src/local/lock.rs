//! One process per data folder.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::failure::Failure;
use crate::local::layout::Layout;

/// Holds the folder until dropped; the kernel lets go of it when the process dies, however.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// Takes the folder, or says who has it.
pub fn take(layout: &Layout) -> Result<FolderLock, Failure> {
    let path = layout.lock();
    let cannot = |error: std::io::Error| Failure::Refused(format!("{}: {error}.", path.display()));
    make_root(layout.root()).map_err(cannot)?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(taken(layout, &mut file)),
        Err(TryLockError::Error(error)) => return Err(cannot(error)),
    }
    note_owner(&mut file).map_err(cannot)?;
    Ok(FolderLock { _file: file })
}

/// Everyone may pass through to `ca.pem`; what else is in it is made for its owner alone.
fn make_root(root: &Path) -> std::io::Result<()> {
    if root.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(root)?;
    std::fs::set_permissions(root, Permissions::from_mode(0o755))
}

fn note_owner(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn taken(layout: &Layout, file: &mut File) -> Failure {
    let mut owner = String::new();
    let known = file.take(20).read_to_string(&mut owner).is_ok() && !owner.trim().is_empty();
    let by = match known {
        true => format!(" (process {})", owner.trim()),
        false => String::new(),
    };
    Failure::Refused(format!(
        "{} is in use by another `buzonera local`{by}: two on one folder would spoil the mail. \
         Stop it, or choose another folder with --data.",
        layout.root().display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(&dir.path().join("data"));
        let first = take(&layout).unwrap();
        let refused = take(&layout).unwrap_err().to_string();
        let owner = format!("(process {})", std::process::id());
        assert!(refused.contains(&owner), "{refused}");
        drop(first);
        take(&layout).unwrap();
    }
}
