//! Programs that read a mailbox over POP3 with TLS.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::ledger::Digest;
use crate::site::feed;
use crate::{message, places};

/// A program that reads mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// curl pop3s://
    Curl,
    /// Python's poplib.
    Python,
}

/// Writes every message to a file; the password comes by standard input.
const POPLIB: &str = "
import poplib, socket, ssl, sys
host, port, name, ca, user, into = sys.argv[1:7]
context = ssl.create_default_context(cafile=ca)
class Named(poplib.POP3_SSL):
    def _create_socket(self, timeout):
        plain = socket.create_connection((host, int(port)), timeout)
        return context.wrap_socket(plain, server_hostname=name)
try:
    client = Named(name, int(port), timeout=90, context=context)
    client.user(user)
    client.pass_(sys.stdin.readline().rstrip('\\n'))
    for number in range(1, client.stat()[0] + 1):
        with open(f'{into}{number}', 'wb') as file:
            file.write(b''.join(line + b'\\r\\n' for line in client.retr(number)[1]))
    client.quit()
except (OSError, poplib.error_proto) as error:
    sys.exit(str(error))
";

impl Reader {
    /// The first that is on this machine.
    pub fn found() -> Result<Self> {
        let known = [(Self::Curl, "curl"), (Self::Python, "python3")];
        let there = known
            .iter()
            .find(|(_, name)| places::on_path(name).is_some());
        there
            .map(|(reader, _)| *reader)
            .context("install curl or python3 to read mail")
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Curl => "curl",
            Self::Python => "Python's poplib",
        }
    }
}

/// Where mail is read.
#[derive(Debug, Clone)]
pub struct Pop3s {
    /// Where it is reached.
    pub address: SocketAddr,
    /// The name in its certificate.
    pub name: String,
    /// The CA's certificate.
    pub ca: PathBuf,
}

/// A mailbox to read.
#[derive(Debug, Clone)]
pub struct Mailbox<'a> {
    /// Where.
    pub server: &'a Pop3s,
    /// The account's address.
    pub user: &'a str,
    /// Its password.
    pub password: &'a str,
}

/// What each message's file is called, before its number.
const FILE: &str = "message-";

impl Mailbox<'_> {
    /// All test messages in the mailbox, read over one connection into `folder`: their numbers, and
    /// the digests of their bodies.
    pub fn messages(&self, reader: Reader, folder: &Path) -> Result<Vec<(u64, Digest)>> {
        match reader {
            Reader::Curl => self.by_curl(folder)?,
            Reader::Python => self.by_python(folder)?,
        }
        let mut messages = Vec::new();
        for index in 1.. {
            let path = folder.join(format!("{FILE}{index}"));
            if !path.exists() {
                break;
            }
            messages.push(taken(&path)?);
        }
        Ok(messages)
    }

    /// Logs in, by curl, and asks for the list of messages.
    pub fn login(&self, folder: &Path) -> Result<()> {
        self.curl("", &[], folder).map(drop)
    }

    fn by_curl(&self, folder: &Path) -> Result<()> {
        let listing = self.curl("", &[], folder)?;
        let lines = listing.lines().filter(|line| !line.trim().is_empty());
        let count = lines.count();
        if count > 0 {
            let into = folder.join(format!("{FILE}#1"));
            let range = format!("[1-{count}]");
            self.curl(&range, &["--output".as_ref(), into.as_os_str()], folder)?;
        }
        Ok(())
    }

    fn by_python(&self, folder: &Path) -> Result<()> {
        let mut command = Command::new("python3");
        let Pop3s { address, name, ca } = self.server;
        command.args(["-c", POPLIB, &address.ip().to_string()]);
        command.args([&address.port().to_string(), name]);
        command.arg(ca).arg(self.user).arg(folder.join(FILE));
        let output = feed(command, &format!("{}\n", self.password))?;
        self.check("poplib", &output)
    }

    /// Runs curl; the password goes by a file, not by the command line.
    fn curl(&self, what: &str, more: &[&OsStr], folder: &Path) -> Result<String> {
        let secret = folder.join("curl-user");
        let line = format!("user = \"{}:{}\"\n", self.user, self.password);
        fs::write(&secret, line)?;
        let Pop3s { address, name, ca } = self.server;
        let port = address.port();
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--max-time", "90"]);
        command.args(["--connect-to", &format!("{name}:{port}:{address}")]);
        command.arg("--cacert").arg(ca);
        command.arg("--config").arg(&secret).args(more);
        command.arg(format!("pop3s://{name}:{port}/{what}"));
        let output = feed(command, "")?;
        self.check("curl", &output)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn check(&self, name: &str, output: &std::process::Output) -> Result<()> {
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            bail!("{name} reads {}: {}", self.user, said.trim());
        }
        Ok(())
    }
}

fn taken(path: &PathBuf) -> Result<(u64, Digest)> {
    let text = fs::read(path).with_context(|| path.display().to_string())?;
    fs::remove_file(path)?;
    let number = message::number(&text);
    let number = number.with_context(|| format!("{}: not one of ours", path.display()))?;
    Ok((number, message::body_digest(&text)))
}
