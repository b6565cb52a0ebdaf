//! A client that says exactly what it is told.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;

trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

pub(crate) struct Client {
    stream: Box<dyn Duplex>,
    read: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect(to).await.unwrap())
    }

    pub(crate) fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            read: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Sends an octet now and then until there is a reply.
    pub(crate) async fn drip_until_reply(&mut self) -> String {
        let (mut read, mut write) = tokio::io::split(&mut self.stream);
        let dripping = async {
            let mut pause = tokio::time::interval(std::time::Duration::from_millis(20));
            while write.write_all(b"x").await.is_ok() {
                pause.tick().await;
            }
        };
        tokio::select! {
            _octets = timeout(PATIENCE, read.read_buf(&mut self.read)) => {}
            () = dripping => {}
        }
        self.reply().await.expect("never shown out")
    }

    /// Sends an octet now and then until the connection is closed.
    pub(crate) async fn drip_until_closed(&mut self) {
        let mut pause = tokio::time::interval(std::time::Duration::from_millis(20));
        let dripping = async {
            while self.stream.write_all(b"x").await.is_ok() {
                pause.tick().await;
            }
        };
        timeout(PATIENCE, dripping).await.expect("never cut");
    }

    /// The next reply, lines joined by LF; `None` when the connection ended.
    pub(crate) async fn reply(&mut self) -> Option<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await?;
            let last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if last {
                return Some(lines.join("\n"));
            }
        }
    }

    /// Whatever comes first; nothing when the connection ended.
    pub(crate) async fn reply_octets(&mut self) -> Vec<u8> {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await;
        let _octets = read.expect("no reply in time");
        std::mem::take(&mut self.read)
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.read.windows(2).position(|two| two == b"\r\n") {
                let line = self.read.drain(..at + 2).take(at).collect();
                return Some(String::from_utf8(line).unwrap());
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await;
            if read.expect("no reply in time").unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next reply, whose last line starts with `start`.
    pub(crate) async fn expect(&mut self, start: &str) -> String {
        let reply = self
            .reply()
            .await
            .unwrap_or_else(|| panic!("closed instead of {start:?}"));
        let last = reply.rsplit('\n').next().unwrap();
        assert!(last.starts_with(start), "{reply:?} instead of {start:?}");
        reply
    }

    pub(crate) async fn ask(&mut self, line: &str, start: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        let reply = self
            .reply()
            .await
            .unwrap_or_else(|| panic!("closed after {line:?}"));
        let last = reply.rsplit('\n').next().unwrap();
        assert!(
            last.starts_with(start),
            "{line:?}: {reply:?} instead of {start:?}"
        );
        reply
    }

    pub(crate) async fn expect_end(&mut self) {
        let more = self.line().await;
        assert_eq!(more, None, "the connection should have ended");
    }

    /// MAIL, RCPTs and DATA, with the expected answer to all recipients.
    pub(crate) async fn mail(&mut self, recipients: &[&str], message: &str) -> String {
        self.ask("MAIL FROM:<sender@client.example>", "250 2.1.0")
            .await;
        for recipient in recipients {
            self.ask(&format!("RCPT TO:<{recipient}>"), "250 2.1.5")
                .await;
        }
        self.ask("DATA", "354").await;
        self.send(format!("{message}.\r\n")).await;
        self.reply().await.expect("a reply to the message")
    }
}
