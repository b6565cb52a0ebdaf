//! A small SMTP and LMTP client for load: one command at a time, every answer read.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::ledger::Answer;

/// How long any answer may take: above the 60 s that MX has after the final dot.
const PATIENCE: Duration = Duration::from_secs(90);

/// An open session.
pub struct Client {
    stream: BufReader<TcpStream>,
}

/// A reply: its code, and its text with lines joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// All lines, without codes.
    pub text: String,
}

impl Reply {
    /// 2yz.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }
}

impl Client {
    /// Connects and says EHLO (or LHLO).
    pub async fn connect(address: SocketAddr, hello: &str) -> Result<Self> {
        Self::connect_with(b"", address, hello).await
    }

    /// Likewise; these octets come first, as a balancer puts them before a connection.
    pub async fn connect_with(header: &[u8], address: SocketAddr, hello: &str) -> Result<Self> {
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        let mut client = Self {
            stream: BufReader::new(stream),
        };
        client.write(header).await?;
        client.expect(220).await.context("greeting")?;
        client.say(hello).await?;
        client.expect(250).await.context("EHLO")?;
        Ok(client)
    }

    /// Sends one message to one recipient and says what became of it. An error before the body
    /// means that it was not sent; after an error the session is of no use.
    pub async fn send(&mut self, from: &str, to: &str, message: &str) -> Result<(Answer, Reply)> {
        for command in [
            format!("MAIL FROM:<{from}>"),
            format!("RCPT TO:<{to}>"),
            "DATA".to_owned(),
        ] {
            self.say(&command).await?;
            let reply = self.reply().await?;
            if reply.code != 250 && reply.code != 354 {
                self.say("RSET").await?;
                self.reply().await?;
                return Ok((Answer::Refused, reply));
            }
        }
        Ok(self.body(message).await)
    }

    async fn body(&mut self, message: &str) -> (Answer, Reply) {
        let sent = async {
            self.write(stuffed(message).as_bytes()).await?;
            self.reply().await
        };
        match sent.await {
            Ok(reply) if reply.is_positive() => (Answer::Accepted, reply),
            Ok(reply) if reply.code / 100 == 5 => (Answer::Refused, reply),
            Ok(reply) => (Answer::Unknown, reply),
            Err(error) => (
                Answer::Unknown,
                Reply {
                    code: 0,
                    text: format!("{error:#}"),
                },
            ),
        }
    }

    /// Says QUIT and does not wait.
    pub async fn quit(mut self) {
        // The server may be gone already; the session is over either way.
        let _ = self.say("QUIT").await;
    }

    /// Sends one command line.
    pub async fn say(&mut self, line: &str) -> Result<()> {
        self.write(format!("{line}\r\n").as_bytes()).await
    }

    /// Sends octets as they are.
    pub async fn write(&mut self, octets: &[u8]) -> Result<()> {
        timeout(PATIENCE, self.stream.get_mut().write_all(octets)).await??;
        Ok(())
    }

    /// Reads one reply.
    pub async fn reply(&mut self) -> Result<Reply> {
        let mut text = String::new();
        loop {
            let mut line = String::new();
            let read = timeout(PATIENCE, self.stream.read_line(&mut line)).await;
            if read.context("no answer in time")?? == 0 {
                bail!("the server closed the connection");
            }
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let code: u16 = code.with_context(|| format!("not a reply: {line:?}"))?;
            text.push_str(line.get(4..).unwrap_or("").trim_end());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, text });
            }
            text.push('\n');
        }
    }

    /// Reads a reply that must have this code.
    pub async fn expect(&mut self, code: u16) -> Result<Reply> {
        let reply = self.reply().await?;
        if reply.code != code {
            bail!("{} {} instead of {code}", reply.code, reply.text);
        }
        Ok(reply)
    }
}

/// The message with dots stuffed and the final dot (RFC 5321 section 4.5.2).
fn stuffed(message: &str) -> String {
    let mut text = message.replace("\r\n.", "\r\n..");
    if text.starts_with('.') {
        text.insert(0, '.');
    }
    if !text.ends_with("\r\n") {
        text.push_str("\r\n");
    }
    text.push_str(".\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_stuffed() {
        assert_eq!(stuffed(".a\r\n.b\r\nc."), "..a\r\n..b\r\nc.\r\n.\r\n");
    }
}
