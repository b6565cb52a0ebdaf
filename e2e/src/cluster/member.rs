//! One process of a cluster: started, killed and started again with the same flags.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Places;
use crate::process::Process;
use crate::{binaries, wait};

/// One process, running or not.
pub struct Member {
    name: String,
    program: PathBuf,
    /// What puts the program onto its machine.
    onto: Vec<String>,
    flags: Vec<String>,
    folder: PathBuf,
    admin: Option<SocketAddr>,
    process: Option<Process>,
}

impl Member {
    /// One of our tiers, not started yet; its admin port is added to the flags.
    pub(super) fn tier(
        program: &str,
        name: &str,
        folder: &Path,
        at: &Places,
        mut flags: Vec<(&str, String)>,
    ) -> Result<Self> {
        let admin = at.address(name)?;
        flags.push(("--admin-listen", admin.to_string()));
        flags.push(("--lame-duck", "0s".to_owned()));
        let mut member = Self::other(binaries::path(program)?, name, folder, at, flags);
        member.admin = Some(admin);
        Ok(member)
    }

    /// Another program, not started yet.
    pub(super) fn other(
        program: PathBuf,
        name: &str,
        folder: &Path,
        at: &Places,
        flags: Vec<(&str, String)>,
    ) -> Self {
        let flags = flags
            .into_iter()
            .flat_map(|(flag, value)| [flag.to_owned(), value]);
        Self {
            name: name.to_owned(),
            program,
            onto: at.onto(name),
            flags: flags.collect(),
            folder: folder.join(name),
            admin: None,
            process: None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts it; it must not be running.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "{} is running already", self.name);
        self.process = Some(self.spawn(&self.name, &self.flags)?);
        Ok(())
    }

    /// A second process with the same flags, but ports that are free, and with those of `other`
    /// instead of its own; its log is called `name`.
    pub fn second(&self, name: &str, other: &[(&str, &str)]) -> Result<Process> {
        self.spawn(name, &flags_of_second(&self.flags, other))
    }

    /// The folder of everything that is its own.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn spawn(&self, name: &str, flags: &[String]) -> Result<Process> {
        fs::create_dir_all(&self.folder)?;
        let program = self.program.display().to_string();
        let mut words = self.onto.iter().chain([&program]).chain(flags);
        let first = words.next().context("a program has a name")?;
        Process::start(name, &self.folder, Path::new(first), words)
    }

    /// Starts it if it does not run, also when it has ended by itself.
    pub fn revive(&mut self) -> Result<()> {
        if self.is_running() {
            return Ok(());
        }
        self.process = None;
        self.start()
    }

    /// One more flag from the next start on; it stands last, so that it counts.
    pub fn add_flag(&mut self, flag: &str, value: &str) {
        self.flags.extend([flag.to_owned(), value.to_owned()]);
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// `kill -9`; false: it was not running.
    pub fn kill(&mut self) -> Result<bool> {
        let was_running = self.is_running();
        if let Some(mut process) = self.process.take() {
            process.kill()?;
        }
        Ok(was_running)
    }

    /// SIGSTOP.
    pub fn freeze(&self) -> Result<()> {
        self.process.as_ref().context("it is not running")?.freeze()
    }

    /// SIGCONT.
    pub fn thaw(&self) -> Result<()> {
        self.process.as_ref().context("it is not running")?.thaw()
    }

    /// SIGTERM, and its end.
    pub async fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        let mut process = self.process.take().context("it is not running")?;
        process.stop(limit).await
    }

    /// Its process id.
    pub fn id(&self) -> Result<u32> {
        Ok(self.process.as_ref().context("it is not running")?.id())
    }

    /// Waits until it says that it is ready.
    pub async fn ready(&mut self, limit: Duration) -> Result<()> {
        let admin = self
            .admin
            .with_context(|| format!("{} has no admin port", self.name))?;
        let what = format!("{} is ready", self.name);
        let mut process = self.process.as_mut();
        let ready = wait::until(&what, limit, || {
            let running = process.as_mut().is_some_and(|process| process.is_running());
            async move {
                if !running {
                    // It will not get ready any more; the log says why.
                    return Ok(Err(anyhow::anyhow!("it has ended")));
                }
                let answer = http_get(admin, "/readyz").await?;
                ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                Ok(Ok(()))
            }
        });
        let outcome = ready.await.and_then(|outcome| outcome);
        outcome.with_context(|| format!("{what}\n{}", self.log_tail(6_000)))
    }

    /// The page `/metrics`.
    pub async fn metrics(&self) -> Result<String> {
        let admin = self
            .admin
            .with_context(|| format!("{} has no admin port", self.name))?;
        http_get(admin, "/metrics").await
    }

    /// Where all its runs write.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    /// The end of its log.
    pub fn log_tail(&self, octets: usize) -> String {
        match &self.process {
            Some(process) => process.log_tail(octets),
            None => format!("--- {} is not running", self.name),
        }
    }
}

/// Each flag is there once: given twice, it is refused.
fn flags_of_second(own: &[String], other: &[(&str, &str)]) -> Vec<String> {
    let mut flags = own.to_vec();
    for pair in flags.chunks_exact_mut(2) {
        if pair[0].ends_with("-listen") {
            "127.0.0.1:0".clone_into(&mut pair[1]);
        }
    }
    for (flag, value) in other {
        match flags.chunks_exact_mut(2).find(|pair| pair[0] == *flag) {
            Some(pair) => (*value).clone_into(&mut pair[1]),
            None => flags.extend([(*flag).to_owned(), (*value).to_owned()]),
        }
    }
    flags
}

/// The whole answer to a GET, as text.
pub(crate) async fn http_get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_has_its_own_ports_and_each_flag_once() {
        let own = ["--data", "a", "--pop3-listen", "127.0.0.1:110"].map(str::to_owned);
        let flags = flags_of_second(&own, &[("--data", "b"), ("--boot-id", "c")]);
        let expected = [
            "--data",
            "b",
            "--pop3-listen",
            "127.0.0.1:0",
            "--boot-id",
            "c",
        ];
        assert_eq!(flags, expected);
    }
}
