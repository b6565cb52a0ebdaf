//! A MailCluster that is used: one account, mail to it, and what is read there.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use e2e::kubernetes::{Access, Platform};
use e2e::ledger::Answer;
use e2e::message::{body_digest, compose};
use e2e::real::{Mailbox, Pop3s, Reader, Sender};
use e2e::smtp::{self, Reply};
use e2e::{pop3, wait};
use tokio::net::TcpStream;

use crate::support::PATIENCE;

pub(super) const ANA: &str = "ana@example.org";
const PASSWORD: &str = "three herons on a post";
const FROM: &str = "bo@example.net";
const HOST: &str = "mail.example.org";

/// Octets of each message.
const SIZE: usize = 5000;

/// The least there can be: one of everything.
pub(super) const SMALL: &str = include_str!("small.yaml");

pub(super) struct Mail {
    pub(super) platform: Platform,
    pub(super) smtp: SocketAddr,
    pub(super) pop3s: Pop3s,
    /// Whose mail it is.
    user: String,
    sent: u64,
    accepted: Vec<u64>,
    folder: tempfile::TempDir,
}

impl Mail {
    /// Of a MailCluster that is Ready; the account is made.
    pub(super) fn of(platform: Platform, smtp: SocketAddr, pop3s: SocketAddr) -> Result<Self> {
        add(&platform, ANA, &[])?;
        let folder = tempfile::tempdir()?;
        let pop3s = Pop3s {
            address: pop3s,
            name: HOST.to_owned(),
            ca: platform.ca(folder.path())?,
        };
        Ok(Self {
            platform,
            smtp,
            pop3s,
            user: ANA.to_owned(),
            sent: 0,
            accepted: Vec::new(),
            folder,
        })
    }

    /// Of another person there, whose mail is on that shard.
    pub(super) fn of_another(&self, user: &str, shard: &str) -> Result<Self> {
        add(&self.platform, user, &["--shard", shard])?;
        Ok(Self {
            platform: self.platform.clone(),
            smtp: self.smtp,
            pop3s: self.pop3s.clone(),
            user: user.to_owned(),
            sent: 0,
            accepted: Vec::new(),
            folder: tempfile::tempdir()?,
        })
    }

    /// Of one that is made in a namespace, and reached through the load balancer.
    pub(super) async fn made(access: &Access, namespace: &str, text: &str) -> Result<Self> {
        let platform = Platform::of(access, namespace, "example");
        platform.apply(text)?;
        platform.ready(|_| ()).await?;
        let smtp = platform.address("mx-public", 25).await?;
        let pop3s = platform.address("proxy-public", 995).await?;
        let mail = Self::of(platform, smtp, pop3s)?;
        // The load balancer looks for pods now and then.
        wait::until("there is a way in", PATIENCE, || async {
            TcpStream::connect(smtp).await?;
            TcpStream::connect(pop3s).await
        })
        .await?;
        Ok(mail)
    }

    /// One message more is taken, and all that were taken so far are read, once and whole.
    pub(super) fn goes_on(&mut self) -> Result<()> {
        let user = self.user.clone();
        let (number, text) = self.next(&user);
        let (answer, said) = Sender::found()?.send(self.smtp, FROM, &user, &text)?;
        ensure!(answer == Answer::Accepted, "{said}");
        self.accepted.push(number);
        self.is_read()
    }

    /// Offers a message, and says how it was answered; what is taken is to be read later.
    pub(super) async fn offer(&mut self, to: &str) -> Result<Reply> {
        let client = smtp::Client::connect(self.smtp, "EHLO sender.example").await?;
        self.offer_over(client, to).await
    }

    /// Offers a message to whoever it is about.
    pub(super) async fn offer_to_itself(&mut self) -> Result<Reply> {
        let user = self.user.clone();
        self.offer(&user).await
    }

    /// Likewise, in a session that is open.
    pub(super) async fn offer_over(&mut self, mut client: smtp::Client, to: &str) -> Result<Reply> {
        let (number, text) = self.next(to);
        let (answer, reply) = client.send(FROM, to, &text).await?;
        client.quit().await;
        if answer == Answer::Accepted {
            self.accepted.push(number);
        }
        Ok(reply)
    }

    /// All that was taken is read, once and whole.
    pub(super) fn is_read(&self) -> Result<()> {
        let sent = self.accepted.iter().map(|number| {
            let text = compose(*number, FROM, &self.user, SIZE);
            (*number, body_digest(text.as_bytes()))
        });
        let sent: Vec<_> = sent.collect();
        let mailbox = Mailbox {
            server: &self.pop3s,
            user: &self.user,
            password: PASSWORD,
        };
        let mut read = mailbox.messages(Reader::found()?, self.folder.path())?;
        read.sort_unstable();
        ensure!(read == sent, "{read:?}, and not {sent:?}");
        Ok(())
    }

    /// Logs in; the error is what was said.
    pub(super) async fn login(&self) -> Result<pop3::Client> {
        self.login_over(TcpStream::connect(self.pop3s.address).await?)
            .await
    }

    /// Likewise, over a connection that is open.
    pub(super) async fn login_over(&self, tcp: TcpStream) -> Result<pop3::Client> {
        let tls = pop3::trust(&self.pop3s.ca)?;
        pop3::Client::login_over(tcp, HOST, &tls, &self.user, PASSWORD).await
    }

    fn next(&mut self, to: &str) -> (u64, String) {
        self.sent += 1;
        (self.sent, compose(self.sent, FROM, to, SIZE))
    }
}

/// Makes an account; `more` is for the command.
fn add(platform: &Platform, user: &str, more: &[&str]) -> Result<()> {
    let words = ["account", "add", user, "--password-stdin"];
    let added = platform.buzonera(&[&words[..], more].concat(), PASSWORD)?;
    let said = String::from_utf8_lossy(&added.stderr);
    ensure!(added.status.success(), "{said}");
    Ok(())
}
