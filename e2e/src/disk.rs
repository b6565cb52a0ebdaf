//! A small disk of its own: an ext4 file system in a file, mounted where only this test sees it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::process::Process;
use crate::wait;

/// For mount and mkfs.
const START: Duration = Duration::from_secs(30);

/// A mounted disk. It goes with this value, and with the test's process.
pub struct Disk {
    holder: Process,
    folder: PathBuf,
    name: String,
}

impl Disk {
    /// Mounts one of so many MiB as `folder/name`, in a mount namespace of its own, which a process
    /// that does nothing else holds open.
    pub async fn mount(folder: &Path, name: &str, mebibytes: u64) -> Result<Self> {
        let image = folder.join(format!("{name}.img"));
        File::create(&image)?.set_len(mebibytes << 20)?;
        // No blocks for root alone: what statvfs calls free is what there is.
        let made = Command::new("mkfs.ext4")
            .args(["-q", "-m", "0"])
            .arg(&image)
            .status();
        ensure!(made.context("mkfs.ext4")?.success(), "mkfs.ext4 failed");
        let at = folder.join(name);
        fs::create_dir_all(&at)?;
        let script = r#"mount -o loop "$0" "$1" && echo mounted && exec sleep infinity"#;
        let words = ["--mount", "sh", "-c", script].map(Into::into);
        let words = words
            .into_iter()
            .chain([image.as_os_str(), at.as_os_str()].map(Into::into));
        let words: Vec<std::ffi::OsString> = words.collect();
        let holder = Process::start(&format!("disk-{name}"), folder, Path::new("unshare"), words)?;
        wait::until("the disk is mounted", START, || async {
            let said = holder.log_tail(1000);
            ensure!(said.contains("\nmounted"), "{said}");
            Ok(())
        })
        .await?;
        Ok(Self {
            holder,
            folder: folder.to_owned(),
            name: name.to_owned(),
        })
    }

    /// The folder as the holder sees it, with the disk in it.
    pub fn folder(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        let inside = self.folder.strip_prefix("/").unwrap_or(&self.folder);
        root.join(inside)
    }

    /// Octets that are free on it.
    pub fn free(&self) -> Result<u64> {
        let disk = rustix::fs::statvfs(self.folder().join(&self.name))?;
        Ok(disk.f_bavail * disk.f_frsize)
    }

    /// Makes a file there of so many octets, or of all that are free when there are fewer.
    pub fn fill(&self, name: &str, octets: u64) -> Result<()> {
        use std::io::Write as _;
        let path = self.folder().join(&self.name).join(name);
        let mut file = File::options().append(true).create(true).open(path)?;
        let block = vec![0x55; 4096];
        for _ in 0..octets.div_ceil(4096) {
            if file.write_all(&block).is_err() {
                break;
            }
        }
        // Full is what it is meant to be.
        let _ = file.sync_all();
        Ok(())
    }

    /// Removes such a file.
    pub fn free_up(&self, name: &str) -> Result<()> {
        Ok(fs::remove_file(self.folder().join(&self.name).join(name))?)
    }
}
