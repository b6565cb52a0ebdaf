//! A `buzonera local` in a folder of its own, as a process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::errors::Announced;
use crate::process::Process;
use crate::real::Pop3s;
use crate::{binaries, ports, wait};

/// Debug builds on a busy machine start within a few seconds.
const START: Duration = Duration::from_secs(60);

/// A stop drains sessions; none that tests leave open lasts long.
const STOP: Duration = Duration::from_secs(60);

/// What the screen ends with, once everything listens.
const READY: &str = "Ctrl-C stops it";

/// One site; it can be killed and started again on the same folder and ports.
pub struct Site {
    folder: PathBuf,
    ports: Ports,
    flags: Vec<String>,
    /// The limit of its process; `None`: ours.
    open_files: Option<u32>,
    process: Option<Process>,
    starts: u32,
    announced: Announced,
}

/// Its ports on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// --smtp
    pub smtp: u16,
    /// --lmtp
    pub lmtp: u16,
    /// --pop3
    pub pop3: u16,
    /// --pop3s
    pub pop3s: u16,
    /// --directory
    pub directory: u16,
    /// --admin
    pub admin: u16,
}

impl Ports {
    /// Free ones.
    pub fn free() -> Result<Self> {
        Ok(Self {
            smtp: ports::free()?,
            lmtp: ports::free()?,
            pop3: ports::free()?,
            pop3s: ports::free()?,
            directory: ports::free()?,
            admin: ports::free()?,
        })
    }

    /// As flags of `buzonera local`.
    pub fn flags(&self) -> Vec<String> {
        [
            ("--smtp", self.smtp),
            ("--lmtp", self.lmtp),
            ("--pop3", self.pop3),
            ("--pop3s", self.pop3s),
            ("--directory", self.directory),
            ("--admin", self.admin),
        ]
        .into_iter()
        .flat_map(|(flag, port)| [flag.to_owned(), port.to_string()])
        .collect()
    }
}

impl Site {
    /// Starts one in `folder`, with more flags for `buzonera local`; returns when it is ready.
    pub async fn start(folder: &Path, flags: &[&str]) -> Result<Self> {
        Self::start_with(folder, flags, None).await
    }

    /// As [`Self::start`], and its process may open so many files.
    pub async fn start_with(
        folder: &Path,
        flags: &[&str],
        open_files: Option<u32>,
    ) -> Result<Self> {
        let mut site = Self {
            folder: folder.to_owned(),
            ports: Ports::free()?,
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            open_files,
            process: None,
            starts: 0,
            announced: Announced::default(),
        };
        site.start_again().await?;
        Ok(site)
    }

    /// Starts it once more, on the same folder and ports.
    pub async fn start_again(&mut self) -> Result<()> {
        self.starts += 1;
        let name = run_name(self.starts);
        let (program, mut words) = self.program()?;
        words.extend(["local".to_owned()].into_iter().chain(self.ports.flags()));
        words.extend(self.flags.clone());
        let mut process = Process::start(&name, &self.folder, &program, words)?;
        let ready = wait::until("buzonera local shows its screen", START, || {
            let state = (process.is_running(), process.log_tail(16 * 1024));
            async move {
                match state {
                    (_, log) if log.contains(READY) => Ok(true),
                    (false, log) => Ok(log.contains(READY)),
                    (true, log) => Err(log),
                }
            }
        });
        if !ready.await? {
            bail!("buzonera local ended:\n{}", process.log_tail(16 * 1024));
        }
        self.process = Some(process);
        Ok(())
    }

    /// `buzonera`, by way of a shell that sets its limit.
    fn program(&self) -> Result<(PathBuf, Vec<String>)> {
        let buzonera = binaries::path("buzonera")?;
        let Some(open_files) = self.open_files else {
            return Ok((buzonera, Vec::new()));
        };
        let run = format!("ulimit -n {open_files} && exec \"$0\" \"$@\"");
        let words = ["-c".to_owned(), run, buzonera.display().to_string()];
        Ok((PathBuf::from("sh"), words.to_vec()))
    }

    /// Fails with the reason when the disk is so full that shards take no mail.
    pub fn has_room(&self) -> Result<()> {
        if self.log_tail().contains("take no mail until there is more") {
            bail!(
                "the disk of {} is nearly full, and shards take no mail there: free some room, or \
                 name another place with TMPDIR",
                self.folder.display()
            );
        }
        Ok(())
    }

    /// Other flags for the next start.
    pub fn set_flags(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    }

    /// `kill -9`.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().context("it is not running")?.kill()
    }

    /// SIGTERM, and a clean end.
    pub async fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("it is not running")?;
        let status = process.stop(STOP).await?;
        Self::is_clean(&process, status)
    }

    /// Ctrl-C, and a clean end within `limit`.
    pub async fn interrupt(&mut self, limit: Duration) -> Result<()> {
        let mut process = self.process.take().context("it is not running")?;
        let status = process.interrupt(limit).await?;
        Self::is_clean(&process, status)
    }

    fn is_clean(process: &Process, status: ExitStatus) -> Result<()> {
        if !status.success() {
            bail!(
                "buzonera local ended with {status}:\n{}",
                process.log_tail(16 * 1024)
            );
        }
        Ok(())
    }

    /// The end of what it has written.
    pub fn log_tail(&self) -> String {
        let tail = |process: &Process| process.log_tail(16 * 1024);
        self.process.as_ref().map(tail).unwrap_or_default()
    }

    /// ERROR lines that contain `part` are what the test is about.
    pub fn announce(&mut self, part: &str) {
        self.announced.announce(part);
    }

    /// The ERROR lines of all its runs that nobody announced.
    pub fn surprises(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for run in 1..=self.starts {
            let log = self.folder.join(format!("{}.log", run_name(run)));
            found.extend(self.announced.surprises(&log)?);
        }
        Ok(found)
    }

    /// Whether its process has not ended by itself.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// The id of its process, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Its ports.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// The folder that it was started in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its CA's certificate.
    pub fn ca(&self) -> PathBuf {
        self.folder.join("buzonera-data/ca.pem")
    }

    /// Where mail is read over TLS.
    pub fn pop3s(&self) -> Pop3s {
        Pop3s {
            address: Self::at(self.ports.pop3s),
            name: "localhost".to_owned(),
            ca: self.ca(),
        }
    }

    /// A port as an address.
    pub fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// Runs `buzonera` in the site's folder; `input` is its standard input.
    pub fn buzonera(&self, words: &[&str], input: &str) -> Result<Output> {
        let mut command = Command::new(binaries::path("buzonera")?);
        command.args(words).current_dir(&self.folder);
        feed(command, input)
    }

    /// As [`Self::buzonera`], and it must succeed; its result in JSON.
    pub fn ask(&self, words: &[&str], input: &str) -> Result<Value> {
        let output = self.buzonera(&[words, &["--output", "json"]].concat(), input)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            bail!("buzonera {}: {} {said}", words.join(" "), output.status);
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Adds a domain.
    pub fn add_domain(&self, name: &str) -> Result<Value> {
        self.ask(&["domain", "add", name], "")
    }

    /// Adds an account.
    pub fn add_account(&self, address: &str, password: &str) -> Result<Value> {
        self.ask(&["account", "add", address, "--password-stdin"], password)
    }
}

fn run_name(run: u32) -> String {
    format!("buzonera-{run}")
}

/// Runs a command with `input` as its standard input and waits for its end.
pub fn feed(mut command: Command, input: &str) -> Result<Output> {
    use std::io::Write;
    let name = format!("{:?}", command.get_program());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("{name} does not start"))?;
    let mut stdin = child.stdin.take().context("there is a pipe")?;
    let input = input.to_owned();
    let feeder = std::thread::spawn(move || {
        // Who does not want it all closes the pipe.
        let _unread = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output()?;
    let _done = feeder.join();
    Ok(output)
}
