//! Real mail programs as clients: curl sends over SMTP and reads over POP3 with TLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::ledger::Answer;
use crate::site::feed;
use crate::{message, places};

/// A program that sends mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// curl smtp://
    Curl,
    /// Swiss Army Knife for SMTP.
    Swaks,
    /// Python's smtplib.
    Python,
}

/// The same in Python: 0 accepted, 1 refused, 2 nobody knows.
const SMTPLIB: &str = "
import smtplib, sys
port, sender, recipient = int(sys.argv[1]), sys.argv[2], sys.argv[3]
try:
    client = smtplib.SMTP('127.0.0.1', port, timeout=90)
    for code, text in (client.ehlo(), client.mail(sender), client.rcpt(recipient)):
        if code // 100 != 2: sys.exit(1)
except (OSError, smtplib.SMTPException):
    sys.exit(1)
try:
    code, text = client.data(sys.stdin.buffer.read())
except smtplib.SMTPDataError:
    sys.exit(1)
except (OSError, smtplib.SMTPException):
    sys.exit(2)
print(code, text)
sys.exit(0 if code // 100 == 2 else 1 if code // 100 == 5 else 2)
";

impl Sender {
    /// The first that is on this machine.
    pub fn found() -> Result<Self> {
        let known = [
            (Self::Curl, "curl"),
            (Self::Swaks, "swaks"),
            (Self::Python, "python3"),
        ];
        let there = known
            .iter()
            .find(|(_, name)| places::on_path(name).is_some());
        there
            .map(|(sender, _)| *sender)
            .context("install curl, swaks or python3 to send mail")
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Curl => "curl",
            Self::Swaks => "swaks",
            Self::Python => "Python's smtplib",
        }
    }

    /// Sends one message; what the sender knows afterwards, and what was said last.
    pub fn send(self, port: u16, from: &str, to: &str, text: &str) -> Result<(Answer, String)> {
        let output = feed(self.command(port, from, to), text)?;
        if self == Self::Python {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            return Ok((by_exit_code(output.status.code()), said));
        }
        let talk = [output.stdout, output.stderr].concat();
        Ok(by_dialogue(&String::from_utf8_lossy(&talk)))
    }

    fn command(self, port: u16, from: &str, to: &str) -> Command {
        let mut command;
        match self {
            Self::Curl => {
                command = Command::new("curl");
                command.args(["--silent", "--verbose", "--max-time", "90"]);
                command.args(["--mail-from", from, "--mail-rcpt", to, "--upload-file", "-"]);
                command.arg(format!("smtp://127.0.0.1:{port}/client.example.net"));
            }
            Self::Swaks => {
                command = Command::new("swaks");
                command.args(["--server", "127.0.0.1", "--port", &port.to_string()]);
                command.args(["--from", from, "--to", to, "--data", "-", "--timeout", "90"]);
                command.args(["--helo", "client.example.net"]);
            }
            Self::Python => {
                command = Command::new("python3");
                command.args(["-c", SMTPLIB, &port.to_string(), from, to]);
            }
        }
        command
    }
}

fn by_exit_code(code: Option<i32>) -> Answer {
    match code {
        Some(0) => Answer::Accepted,
        Some(1) => Answer::Refused,
        _ => Answer::Unknown,
    }
}

/// Reads the server's lines out of curl's ("< 250 …") or swaks' ("<-  250 …") dialogue. After the
/// 354 one more answer decides; without it nobody knows.
fn by_dialogue(talk: &str) -> (Answer, String) {
    let replies = talk.lines().filter_map(server_said);
    let mut after_data = false;
    let mut last = "no connection".to_owned();
    for reply in replies {
        last = reply.to_owned();
        if after_data {
            let answer = match reply.as_bytes().first() {
                Some(b'2') => Answer::Accepted,
                Some(b'5') => Answer::Refused,
                _ => Answer::Unknown,
            };
            return (answer, last);
        }
        after_data = reply.starts_with("354");
    }
    let answer = if after_data {
        Answer::Unknown
    } else {
        Answer::Refused
    };
    (answer, last)
}

/// swaks writes "<-" when the server speaks, "<**" when it refuses.
fn server_said(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("<")?;
    let rest = rest.trim_start_matches(['-', '*', '~']).trim();
    let is_code = rest.len() >= 3 && rest.as_bytes()[..3].iter().all(u8::is_ascii_digit);
    is_code.then_some(rest)
}

/// A mailbox to read.
#[derive(Debug, Clone)]
pub struct Mailbox<'a> {
    /// The POP3S port on 127.0.0.1.
    pub port: u16,
    /// The CA's certificate.
    pub ca: &'a Path,
    /// The account's address.
    pub user: &'a str,
    /// Its password.
    pub password: &'a str,
}

impl Mailbox<'_> {
    /// Numbers of all test messages in the mailbox, read with curl over one connection.
    pub fn numbers(&self, folder: &Path) -> Result<Vec<u64>> {
        let count = self.count(folder)?;
        if count == 0 {
            return Ok(Vec::new());
        }
        let into = folder.join("message-#1");
        let range = format!("[1-{count}]");
        self.curl(&range, &["--output".as_ref(), into.as_os_str()], folder)?;
        (1..=count)
            .map(|index| taken(&folder.join(format!("message-{index}"))))
            .collect()
    }

    /// How many messages there are: the lines of LIST.
    fn count(&self, folder: &Path) -> Result<usize> {
        let listing = self.curl("", &[], folder)?;
        Ok(listing
            .lines()
            .filter(|line| !line.trim().is_empty())
            .count())
    }

    /// Runs curl; the password goes by a file, not by the command line.
    fn curl(&self, what: &str, more: &[&std::ffi::OsStr], folder: &Path) -> Result<String> {
        let secret = folder.join("curl-user");
        let line = format!("user = \"{}:{}\"\n", self.user, self.password);
        fs::write(&secret, line)?;
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--max-time", "90"]);
        command
            .arg("--cacert")
            .arg(self.ca)
            .arg("--config")
            .arg(&secret)
            .args(more);
        command.arg(format!("pop3s://127.0.0.1:{}/{what}", self.port));
        let output = feed(command, "")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            bail!("curl reads {}: {}", self.user, said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn taken(path: &PathBuf) -> Result<u64> {
    let text = fs::read(path).with_context(|| path.display().to_string())?;
    fs::remove_file(path)?;
    message::number(&text).with_context(|| format!("{}: not one of ours", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_after_354_decides() {
        let talk = |last: &str| format!("* Connected\n< 220 x\n> DATA\n< 354 go on\n{last}");
        assert_eq!(by_dialogue(&talk("< 250 2.0.0 ok\n")).0, Answer::Accepted);
        assert_eq!(by_dialogue(&talk("< 550 5.6.0 no\n")).0, Answer::Refused);
        assert_eq!(by_dialogue(&talk("< 451 4.3.0 later\n")).0, Answer::Unknown);
        assert_eq!(by_dialogue(&talk("* recv failure\n")).0, Answer::Unknown);
        assert_eq!(by_dialogue("< 220 x\n< 550 5.1.1 no\n").0, Answer::Refused);
        assert_eq!(by_dialogue("* refused\n").0, Answer::Refused);
    }

    #[test]
    fn swaks_dialogues_are_read_too() {
        let talk = "<-  220 x\n -> DATA\n<-  354 go on\n<-  250 2.0.0 ok\n";
        assert_eq!(by_dialogue(talk), (Answer::Accepted, "250 2.0.0 ok".into()));
        assert_eq!(
            by_dialogue("<-  220 x\n<** 550 5.1.1 no\n").0,
            Answer::Refused
        );
    }
}
