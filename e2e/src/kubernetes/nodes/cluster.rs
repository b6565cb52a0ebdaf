//! A Kubernetes with nodes, as those see it who had it started.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use super::audit::{self, Write};
use super::state::{State, ended};
use super::{add_ons, host, keeper};
use crate::images::Image;
use crate::kubernetes::access::Access;
use crate::wait;

/// For pods to be able to run, on a busy machine.
const START: Duration = Duration::from_secs(240);
/// For a keeper to end what it keeps.
const END: Duration = Duration::from_secs(60);

/// Set by `cargo e2e test`, which looks after its end: the folder of the one that tests share.
pub const FOLDER: &str = "BUZONERA_E2E_KUBERNETES";

/// It ends with this value, or with this process, unless it is told to stay.
pub struct Cluster {
    keeper: Child,
    folder: PathBuf,
    access: Access,
}

impl Cluster {
    /// Starts one with so many nodes, kept by `program` (this workspace's `e2e`), in a folder of its
    /// own; waits until pods can run. `show` gets what it says of itself.
    pub async fn boot(
        program: &Path,
        folder: &Path,
        nodes: u8,
        mut show: impl FnMut(&str),
    ) -> Result<Self> {
        host::check()?;
        fs::create_dir_all(folder)?;
        let log = folder.join("keeper.log");
        let out = File::create(&log)?;
        // Volumes are mounted where only it and its nodes see them, and go with them.
        let keeper = Command::new("unshare")
            .args(["--mount", "--propagation", "slave"])
            .arg(program)
            .args([keeper::COMMAND, "--nodes", &nodes.to_string()])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .context("the keeper does not start")?;
        let mut cluster = Self {
            keeper,
            folder: folder.to_owned(),
            access: Access::new(folder),
        };
        if let Err(error) = cluster.started(&log, &mut show).await {
            let logs = cluster.access.logs();
            // Also if the keeper hangs; the logs stay.
            sweep(folder).await?;
            return Err(error).context(logs);
        }
        Ok(cluster)
    }

    /// How it is reached.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Brings what a mail platform runs to every node: Buzonera's images and etcd's. Those that were
    /// not built.
    pub fn load_platform(&self) -> Result<Vec<String>> {
        let mut missing = Vec::new();
        for name in add_ons::of_a_platform() {
            match Image::find(&name) {
                Ok(image) => self.load(&image)?,
                Err(_not_built) => missing.push(name),
            }
        }
        Ok(missing)
    }

    /// Brings an image from buildah's store to every node.
    pub fn load(&self, image: &Image) -> Result<()> {
        let archive = add_ons::archive(&self.folder, image)?;
        for first in self.state()?.nodes.values() {
            add_ons::import(first, &archive)?;
        }
        Ok(())
    }

    /// Ends a node at once, as a power cut does.
    pub fn lose(&self, node: &str) -> Result<()> {
        let state = self.state()?;
        let first = state.nodes.get(node);
        let first = first.with_context(|| format!("there is no {node}"))?;
        first.signal(Signal::KILL)
    }

    /// Starts a node again that was lost. It takes a while, which nobody waits for here.
    pub fn again(&mut self, node: u8) -> Result<()> {
        self.tell(&format!("{} {node}", keeper::AGAIN))
    }

    /// The writes of a user that the API server took or refused, the oldest first. A program in a pod
    /// is `system:serviceaccount:NAMESPACE:NAME`.
    pub fn writes(&self, user: &str) -> Result<Vec<Write>> {
        audit::writes(&self.folder, user)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends the keeper at once, as a crash does, and with it the nodes. What it leaves behind is
    /// found by [`down`].
    pub async fn crash(mut self) -> Result<()> {
        self.keeper.kill()?;
        self.keeper.wait()?;
        for (name, first) in &self.state()?.nodes {
            ended(&format!("{name} has ended"), first).await?;
        }
        Ok(())
    }

    /// Ends it in order; nothing of it stays, its folder neither.
    pub async fn end(mut self) -> Result<()> {
        drop(self.keeper.stdin.take());
        let keeper = std::cell::RefCell::new(&mut self.keeper);
        let status = wait::until("the keeper has ended", END, || async {
            keeper.borrow_mut().try_wait()?.context("it has not")
        })
        .await?;
        ensure!(
            status.success(),
            "the keeper: {status}\n{}",
            self.access.logs()
        );
        Ok(())
    }

    /// It goes on without this process, until [`down`].
    pub fn stay(mut self) -> Result<()> {
        self.tell(keeper::STAY)
    }

    fn tell(&mut self, word: &str) -> Result<()> {
        let words = self.keeper.stdin.as_mut();
        writeln!(words.context("its input is closed")?, "{word}")?;
        Ok(())
    }

    async fn started(&mut self, log: &Path, show: &mut impl FnMut(&str)) -> Result<()> {
        let mut lines = Lines::of(log)?;
        let this = std::cell::RefCell::new(self);
        let ready = wait::until("pods can run", START, || {
            lines.new_ones().into_iter().for_each(|line| show(&line));
            let ready = this.borrow_mut().is_ready();
            async {
                match ready {
                    Ok(true) => Ok(Ok(())),
                    Ok(false) => Err("not yet"),
                    Err(error) => Ok(Err(error)),
                }
            }
        });
        ready.await?
    }

    fn is_ready(&mut self) -> Result<bool> {
        let ended = self.keeper.try_wait()?;
        ensure!(ended.is_none(), "Kubernetes did not start");
        Ok(State::read(&self.folder)?.is_some_and(|state| state.ready))
    }

    fn state(&self) -> Result<State> {
        let state = State::read(&self.folder)?;
        state.with_context(|| format!("nothing runs in {}", self.folder.display()))
    }
}

/// Whether one runs in a folder.
pub(super) fn runs_in(folder: &Path) -> Result<bool> {
    Ok(State::read(folder)?.is_some_and(|state| state.keeper.is_alive()))
}

/// Ends the one in a folder, or what was left of it, and removes the folder. Whether there was one.
pub async fn down(folder: &Path) -> Result<bool> {
    let found = sweep(folder).await?;
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _gone => Ok(found),
    }
}

/// Ends the keeper of a folder, if need be at once, and what it left.
async fn sweep(folder: &Path) -> Result<bool> {
    let Some(state) = State::read(folder)? else {
        return Ok(false);
    };
    state.keeper.signal(Signal::TERM)?;
    if ended("the keeper has ended", &state.keeper).await.is_err() {
        state.keeper.signal(Signal::KILL)?;
        ended("the keeper has ended", &state.keeper).await?;
    }
    // As it was at last: a keeper that was starting began more meanwhile.
    if let Some(state) = State::read(folder)? {
        state.sweep().await?;
    }
    Ok(true)
}

/// The lines of a file that grows.
struct Lines {
    file: File,
    seen: u64,
}

impl Lines {
    fn of(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        Ok(Self { file, seen: 0 })
    }

    /// Those that were completed since the last look; none if it cannot be read.
    fn new_ones(&mut self) -> Vec<String> {
        let mut text = Vec::new();
        let read = self.file.seek(SeekFrom::Start(self.seen));
        let read = read.and_then(|_| self.file.read_to_end(&mut text));
        let whole = text.iter().rposition(|octet| *octet == b'\n');
        match (read, whole) {
            (Ok(_), Some(end)) => {
                self.seen += end as u64 + 1;
                let text = String::from_utf8_lossy(&text[..end]);
                text.lines().map(str::to_owned).collect()
            }
            _nothing_new => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_seen_once_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = File::create(&path).unwrap();
        let mut lines = Lines::of(&path).unwrap();
        assert!(lines.new_ones().is_empty());
        write!(log, "one\ntwo\nthr").unwrap();
        assert_eq!(lines.new_ones(), ["one", "two"]);
        assert!(lines.new_ones().is_empty());
        writeln!(log, "ee").unwrap();
        assert_eq!(lines.new_ones(), ["three"]);
    }
}
