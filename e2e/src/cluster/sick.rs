//! An etcd that is full, or whose disk is slow.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use directory::store::etcd::{Etcd, Options};
use directory::store::{Error, Store as _, Txn};

/// Octets of one value: etcd takes 1.5 MiB.
const VALUE: usize = 500_000;

/// Writes, outside of a cluster's keys, until etcd takes no more.
pub async fn fill(endpoint: &str) -> Result<()> {
    let options = Options::new(vec![endpoint.to_owned()], "/padding/");
    let store = Etcd::new(options)?;
    loop {
        let txn = Txn::new().put("padding", vec![0; VALUE]);
        match store.commit(txn).await {
            Ok(_) => {}
            Err(Error::Full(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// While it lives, each sync of a process takes long.
pub struct SlowDisk {
    strace: Child,
}

impl SlowDisk {
    /// Makes every sync of the process take so much longer from now on, by strace.
    pub fn of(process: u32, sync: Duration) -> Result<Self> {
        let delay = sync.as_micros();
        let strace = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "KILL",
                "strace",
                "-f",
                "-qq",
                "-o",
                "/dev/null",
            ])
            .args(["-e", "trace=fdatasync,fsync", "-e"])
            .arg(format!("inject=fdatasync,fsync:delay_exit={delay}"))
            .args(["-p", &process.to_string()])
            .stdin(Stdio::null())
            .spawn()
            .context("setpriv (util-linux) starts strace")?;
        let mut this = Self { strace };
        while !is_traced(process)? {
            if let Ok(Some(ended)) = this.strace.try_wait() {
                bail!("strace (Debian's package strace) is needed, and ended: {ended}");
            }
            std::thread::yield_now();
        }
        Ok(this)
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // The process goes on when strace ends; strace may have ended with it.
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

/// Whether all threads of a process are traced.
fn is_traced(process: u32) -> Result<bool> {
    let tasks = fs::read_dir(format!("/proc/{process}/task"))?;
    let status = |task: fs::DirEntry| fs::read_to_string(task.path().join("status"));
    let traced = |status: String| !status.contains("TracerPid:\t0\n");
    Ok(tasks.flatten().all(|task| status(task).is_ok_and(traced)))
}
