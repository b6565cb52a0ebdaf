//! Control groups for the pods of a node: each node's kubelet has a tree of its own, or it would take
//! another's pods for left over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Where the kernel shows them.
const ROOT: &str = "/sys/fs/cgroup";
/// What kubelet wants of the second version's controllers.
const CONTROLLERS: &str = "+cpu +cpuset +memory +pids";

/// Which version this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// A tree for each controller.
    One,
    /// One tree.
    Two,
}

/// As it is mounted; none if it is not.
pub(super) fn version() -> Option<Version> {
    let has = |name: &str| Path::new(ROOT).join(name).exists();
    if has("cgroup.controllers") {
        return Some(Version::Two);
    }
    let one = ["cpu", "cpuset", "memory", "pids"];
    one.into_iter().all(has).then_some(Version::One)
}

/// Makes one of that name in every tree.
pub(super) fn make(name: &str) -> Result<()> {
    match version().context("no control groups are mounted")? {
        Version::One => make_one(name),
        Version::Two => make_two(name),
    }
}

/// Removes those of that name with all below them, which must be empty of processes by now.
pub(super) fn remove(name: &str) -> Result<()> {
    for tree in trees(name)? {
        remove_below(&tree).with_context(|| format!("cannot remove {}", tree.display()))?;
    }
    Ok(())
}

/// Where there are some of that name.
pub(super) fn trees(name: &str) -> Result<Vec<PathBuf>> {
    let mut found = vec![Path::new(ROOT).join(name)];
    found.extend(hierarchies()?.iter().map(|tree| tree.join(name)));
    found.retain(|tree| tree.is_dir());
    Ok(found)
}

fn make_one(name: &str) -> Result<()> {
    for tree in hierarchies()? {
        let group = tree.join(name);
        fs::create_dir_all(&group).with_context(|| format!("cannot make {}", group.display()))?;
        // These begin empty, and such a group takes no process.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(above) = fs::read(tree.join(file)) {
                fs::write(group.join(file), above)?;
            }
        }
    }
    Ok(())
}

fn make_two(name: &str) -> Result<()> {
    let group = Path::new(ROOT).join(name);
    fs::create_dir_all(&group).with_context(|| format!("cannot make {}", group.display()))?;
    for above in [Path::new(ROOT), &group] {
        let file = above.join("cgroup.subtree_control");
        fs::write(&file, CONTROLLERS)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// The trees of the first version, and one of the second that may be beside them; several names may
/// lead to one.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(ROOT).context("no control groups are mounted")? {
        let tree = entry?.path();
        if tree.join("cgroup.procs").exists() {
            found.push(tree);
        }
    }
    Ok(found)
}

/// Only folders can be removed there, and only those without others.
fn remove_below(group: &Path) -> io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_below(&entry.path())?;
        }
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
