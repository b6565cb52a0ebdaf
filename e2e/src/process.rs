//! Servers as processes of their own: started, frozen, killed, and their logs.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// A process that ends with its owner: when this is dropped, and when the test dies.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program`; what it prints is appended to `FOLDER/NAME.log`. Call it from a thread that
    /// lives as long as the process is to live (Linux ends it with that thread).
    pub fn start<A: AsRef<OsStr>>(
        name: &str,
        folder: &Path,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let out = append(&log)?;
        let err = out.try_clone()?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("cannot start {name} ({})", program.display()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The process id; setpriv has become the program itself.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it at once (`kill -9`) and waits for the end.
    pub fn kill(&mut self) -> Result<()> {
        self.child
            .kill()
            .with_context(|| format!("cannot kill {}", self.name))?;
        self.child
            .wait()
            .with_context(|| format!("cannot wait for {}", self.name))?;
        Ok(())
    }

    /// Freezes it (SIGSTOP).
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Ctrl-C (SIGINT), and waits until it has stopped.
    pub async fn interrupt(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::INT)?;
        self.ended(limit).await
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    pub async fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.ended(limit).await
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("{} ends", self.name);
        let child = std::cell::RefCell::new(&mut self.child);
        wait::until(&what, limit, || async {
            child
                .borrow_mut()
                .try_wait()?
                .ok_or_else(|| anyhow!("it is still running"))
        })
        .await
    }

    /// The last `octets` of its log, for a failure's report.
    pub fn log_tail(&self, octets: usize) -> String {
        let mut text = String::new();
        let read = File::open(&self.log).and_then(|mut file| {
            let mut all = Vec::new();
            file.read_to_end(&mut all)?;
            let from = all.len().saturating_sub(octets);
            text = String::from_utf8_lossy(&all[from..]).into_owned();
            Ok(())
        });
        match read {
            Ok(()) => format!("--- {} ({})\n{text}", self.name, self.log.display()),
            Err(error) => format!("--- {}: no log: {error}", self.name),
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let id = id.with_context(|| format!("{} has no process id", self.name))?;
        kill_process(id, signal).with_context(|| format!("cannot signal {}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn append(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_started_frozen_and_killed() {
        let folder = tempfile::tempdir().unwrap();
        let shell = Path::new("/bin/sh");
        let script = "echo up; exec sleep 60";
        let mut process = Process::start("nap", folder.path(), shell, ["-c", script]).unwrap();
        let limit = Duration::from_secs(10);
        wait::until("it speaks", limit, || async {
            let tail = process.log_tail(100);
            if tail.contains("up") {
                Ok(())
            } else {
                Err(tail)
            }
        })
        .await
        .unwrap();
        process.freeze().unwrap();
        process.thaw().unwrap();
        assert!(process.is_running());
        process.kill().unwrap();
        assert!(!process.is_running());
    }

    #[tokio::test]
    async fn a_process_is_asked_to_stop() {
        let folder = tempfile::tempdir().unwrap();
        let sleep = Path::new("/bin/sleep");
        let mut process = Process::start("nap", folder.path(), sleep, ["60"]).unwrap();
        let status = process.stop(Duration::from_secs(10)).await.unwrap();
        assert!(!status.success());
    }
}
