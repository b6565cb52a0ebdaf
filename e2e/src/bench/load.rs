//! Many connections that deliver as fast as they are answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::ledger::Answer;
use crate::message::Random;
use crate::smtp::Client;

const FROM: &str = "keeper@example.net";

/// What was delivered, and how long each answer took.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) messages: u64,
    pub(super) octets: u64,
    /// From the first command of a transaction to its 250, sorted.
    pub(super) times: Vec<Duration>,
}

/// What all connections share.
pub(super) struct Load {
    pub(super) smtp: SocketAddr,
    pub(super) recipients: Vec<String>,
    /// The largest message.
    pub(super) largest: usize,
    pub(super) until: Instant,
    text: String,
    next: AtomicU64,
}

impl Load {
    pub(super) fn new(
        smtp: SocketAddr,
        recipients: Vec<String>,
        largest: usize,
        until: Instant,
    ) -> Self {
        Self {
            smtp,
            recipients,
            largest,
            until,
            text: lines(largest),
            next: AtomicU64::new(0),
        }
    }

    /// Delivers over so many connections until the time is over.
    pub(super) async fn run(self, connections: usize) -> Result<Done> {
        let load = Arc::new(self);
        let one = |_| tokio::spawn(load.clone().connection());
        let running: Vec<_> = (0..connections).map(one).collect();
        let mut all = Done::default();
        for connection in running {
            let done = connection.await??;
            all.messages += done.messages;
            all.octets += done.octets;
            all.times.extend(done.times);
        }
        all.times.sort_unstable();
        Ok(all)
    }

    async fn connection(self: Arc<Self>) -> Result<Done> {
        let mut client = Client::connect(self.smtp, "EHLO bench.example.net").await?;
        let mut done = Done::default();
        while Instant::now() < self.until {
            let (to, message) = self.next_message();
            let began = Instant::now();
            let (answer, reply) = client.send(FROM, to, &message).await?;
            if answer != Answer::Accepted {
                bail!("{to}: {} {}", reply.code, reply.text);
            }
            done.messages += 1;
            done.octets += message.len() as u64;
            done.times.push(began.elapsed());
        }
        client.quit().await;
        Ok(done)
    }

    /// No two are alike: the header has the number, the text begins anywhere.
    fn next_message(&self) -> (&str, String) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut random = Random::new(number);
        let to = &self.recipients[random.below(self.recipients.len() as u64) as usize];
        let size = random.size(self.largest);
        let header = format!(
            "From: <{FROM}>\r\nTo: <{to}>\r\nSubject: bench {number}\r\n\
             Message-ID: <{number}.bench@example.net>\r\n\r\n"
        );
        let rest = size.saturating_sub(header.len()) / LINE * LINE;
        (to, format!("{header}{}", &self.text[..rest]))
    }
}

/// Octets of a line of text, its CRLF included.
const LINE: usize = 78;

/// Text that does not compress, in lines.
fn lines(octets: usize) -> String {
    let mut random = Random::new(7);
    let mut text = String::with_capacity(octets + LINE);
    while text.len() < octets {
        let line: String = (0..5).map(|_| format!("{:016x}", random.next())).collect();
        text.push_str(&line[..LINE - 2]);
        text.push_str("\r\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_whole_lines_and_differ() {
        let smtp = SocketAddr::from(([127, 0, 0, 1], 25));
        let load = Load::new(smtp, vec!["a@b.c".into()], 1 << 20, Instant::now());
        let (_, first) = load.next_message();
        let (_, second) = load.next_message();
        assert!(first.ends_with("\r\n") && second.ends_with("\r\n"));
        assert_ne!(first, second);
    }
}
