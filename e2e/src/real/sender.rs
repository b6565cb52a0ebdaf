//! Programs that send mail, and what they know afterwards.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::ledger::Answer;
use crate::places;

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

/// Its debugging output is the dialogue.
const SMTPLIB: &str = "
import smtplib, sys
host, port, sender, recipient = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
try:
    client = smtplib.SMTP(local_hostname='client.example.net', timeout=90)
    client.set_debuglevel(1)
    client.connect(host, port)
    client.sendmail(sender, [recipient], sys.stdin.buffer.read())
    client.quit()
except (OSError, smtplib.SMTPException) as error:
    sys.exit(str(error))
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
    pub fn send(
        self,
        smtp: SocketAddr,
        from: &str,
        to: &str,
        text: &str,
    ) -> Result<(Answer, String)> {
        self.send_and_tell(smtp, from, to, text, || {})
    }

    /// The same; `under_way` is called when the server has said 354, and the message flows.
    pub fn send_and_tell(
        self,
        smtp: SocketAddr,
        from: &str,
        to: &str,
        text: &str,
        under_way: impl Fn(),
    ) -> Result<(Answer, String)> {
        let mut command = self.command(smtp, from, to);
        let (talk, writer) = std::io::pipe()?;
        command.stdin(Stdio::piped());
        command.stdout(writer.try_clone()?).stderr(writer);
        let mut child = command
            .spawn()
            .with_context(|| format!("{} does not start", self.name()))?;
        // Else our copies of the pipe's writing end would keep it open.
        drop(command);
        let mut stdin = child.stdin.take().context("there is a pipe")?;
        let text = self.input(text);
        let heard = std::thread::scope(|scope| {
            scope.spawn(move || {
                // Who does not want it all closes the pipe.
                let _unread = stdin.write_all(text.as_bytes());
            });
            listen(talk, under_way)
        });
        child.wait()?;
        heard
    }

    /// swaks ends the last line by itself.
    fn input(self, text: &str) -> &str {
        match self {
            Self::Swaks => text.strip_suffix("\r\n").unwrap_or(text),
            Self::Curl | Self::Python => text,
        }
    }

    fn command(self, smtp: SocketAddr, from: &str, to: &str) -> Command {
        let (host, port) = (smtp.ip().to_string(), smtp.port().to_string());
        let mut command;
        match self {
            Self::Curl => {
                command = Command::new("curl");
                command.args(["--silent", "--verbose", "--max-time", "90"]);
                command.args(["--mail-from", from, "--mail-rcpt", to, "--upload-file", "-"]);
                command.arg(format!("smtp://{smtp}/client.example.net"));
            }
            Self::Swaks => {
                command = Command::new("swaks");
                command.args(["--server", &host, "--port", &port]);
                command.args(["--from", from, "--to", to, "--data", "-", "--timeout", "90"]);
                command.args(["--helo", "client.example.net"]);
            }
            Self::Python => {
                command = Command::new("python3");
                command.args(["-c", SMTPLIB, &host, &port, from, to]);
            }
        }
        command
    }
}

/// Reads a dialogue to its end. After the 354 one more answer decides; without it nobody knows.
fn listen(talk: impl Read, under_way: impl Fn()) -> Result<(Answer, String)> {
    let mut after_data = false;
    let mut answer = None;
    let mut last = "no connection".to_owned();
    for line in BufReader::new(talk).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        let Some(reply) = server_said(&line).filter(|_| answer.is_none()) else {
            continue;
        };
        last = reply.to_owned();
        if after_data {
            answer = Some(by_code(reply));
        } else if reply.starts_with("354") {
            after_data = true;
            under_way();
        }
    }
    let silence = match after_data {
        true => Answer::Unknown,
        false => Answer::Refused,
    };
    Ok((answer.unwrap_or(silence), last))
}

fn by_code(reply: &str) -> Answer {
    match reply.as_bytes().first() {
        Some(b'2') => Answer::Accepted,
        Some(b'5') => Answer::Refused,
        _ => Answer::Unknown,
    }
}

/// curl writes "< 250 …", swaks "<-  250 …" or, when it is refused, "<** 550 …", smtplib
/// "reply: b'250 …\r\n'".
fn server_said(line: &str) -> Option<&str> {
    let said = match line.strip_prefix("reply: b'") {
        Some(rest) => rest.trim_end().trim_end_matches("\\r\\n'"),
        None => line
            .strip_prefix('<')?
            .trim_start_matches(['-', '*', '~'])
            .trim(),
    };
    let code = said.as_bytes().get(..3)?;
    code.iter().all(u8::is_ascii_digit).then_some(said)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn heard(talk: &str) -> (Answer, String) {
        listen(talk.as_bytes(), || {}).unwrap()
    }

    #[test]
    fn the_answer_after_354_decides() {
        let talk = |last: &str| format!("* Connected\n< 220 x\n> DATA\n< 354 go on\n{last}");
        assert_eq!(
            heard(&talk("< 250 2.0.0 ok\n< 221 bye")).0,
            Answer::Accepted
        );
        assert_eq!(heard(&talk("< 550 5.6.0 no\n")).0, Answer::Refused);
        assert_eq!(heard(&talk("< 451 4.3.0 later\n")).0, Answer::Unknown);
        assert_eq!(heard(&talk("* recv failure\n")).0, Answer::Unknown);
        assert_eq!(heard("< 220 x\n< 550 5.1.1 no\n").0, Answer::Refused);
        assert_eq!(heard("* refused\n").0, Answer::Refused);
    }

    #[test]
    fn swaks_and_smtplib_are_understood_too() {
        let talk = "<-  220 x\n -> DATA\n<-  354 go on\n<-  250 2.0.0 ok\n";
        assert_eq!(heard(talk), (Answer::Accepted, "250 2.0.0 ok".into()));
        let refused = "<-  220 x\n<** 550 5.1.1 no\n";
        assert_eq!(heard(refused), (Answer::Refused, "550 5.1.1 no".into()));
        let talk = "send: 'data\\r\\n'\nreply: b'354 go on\\r\\n'\nreply: retcode (354); Msg: b'x'\n\
                    reply: b'250 2.0.0 ok\\r\\n'\n";
        assert_eq!(heard(talk), (Answer::Accepted, "250 2.0.0 ok".into()));
    }

    #[test]
    fn the_354_is_told_at_once_and_once() {
        let told = Cell::new(0);
        let tell = || told.set(told.get() + 1);
        listen(&b"< 220 x\n< 354 go\n< 354 strange\n"[..], tell).unwrap();
        assert_eq!(told.get(), 1);
    }
}
