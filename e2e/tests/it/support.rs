//! A site per test, in a folder that goes with it.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::cluster::{Cluster, Places};
use e2e::ledger::Answer;
use e2e::message::compose;
use e2e::network::Lan;
use e2e::site::Site;
use e2e::{message, pop3, say, smtp, wait};
use rustls::ClientConfig;
use tempfile::TempDir;

/// Who sends all test mail.
pub(crate) const FROM: &str = "keeper@example.net";
/// The account that most tests use.
pub(crate) const ANA: &str = "ana@example.org";
/// Everyone's password.
pub(crate) const PASSWORD: &str = "knock knock";

/// For mail to come out of the spool.
const PATIENCE: Duration = Duration::from_secs(60);

/// Does what is to be tested on a cluster of its own; should it fail, its logs are shown.
pub(crate) async fn on_cluster(shards: usize, work: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), shards).await.unwrap();
    on(cluster, work).await;
}

/// As [`on_cluster`], over three members of etcd, each process on a machine of its own.
pub(crate) async fn on_machines(shards: usize, work: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    let places = Places::apart(Lan::new().unwrap());
    let cluster = Cluster::start_at(folder.path(), shards, 3, places).await;
    on(cluster.unwrap(), work).await;
}

async fn on(mut cluster: Cluster, work: impl AsyncFnOnce(&mut Cluster) -> Result<()>) {
    let outcome = work(&mut cluster).await;
    if outcome.is_err() {
        say::line(&cluster.logs());
    }
    outcome.unwrap();
    no_surprise(&cluster.surprises().unwrap());
}

/// An ERROR line asks a person to look: whoever provokes one in a test announces it.
pub(crate) fn no_surprise(lines: &[String]) {
    assert!(lines.is_empty(), "nobody announced:\n{}", lines.join("\n"));
}

/// Copies a folder as it is, its times and rights too: a volume, as a backup does.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg("-a").args([from, to]).status()?;
    ensure!(status.success(), "cp: {status}");
    Ok(())
}

/// A `buzonera local` of its own; a failing test shows its log.
pub(crate) struct TestSite {
    site: Site,
    _folder: TempDir,
}

impl TestSite {
    /// Starts an empty one.
    pub(crate) async fn empty() -> Result<Self> {
        Self::with_flags(&[]).await
    }

    /// Starts an empty one with more flags for `buzonera local`.
    pub(crate) async fn with_flags(flags: &[&str]) -> Result<Self> {
        Self::start(flags, None).await
    }

    /// Starts an empty one whose process may open so many files.
    pub(crate) async fn with_open_files(open_files: u32) -> Result<Self> {
        Self::start(&[], Some(open_files)).await
    }

    async fn start(flags: &[&str], open_files: Option<u32>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let site = Site::start_with(folder.path(), flags, open_files).await?;
        site.has_room()?;
        Ok(Self {
            site,
            _folder: folder,
        })
    }

    /// Starts one with the domain example.org and the account of Ana.
    pub(crate) async fn with_ana() -> Result<Self> {
        let site = Self::empty().await?;
        site.add_domain("example.org")?;
        site.add_account(ANA, PASSWORD)?;
        Ok(site)
    }

    /// Sends test message `number`, a small one; what was answered.
    pub(crate) async fn send(&self, number: u64, to: &str) -> Result<(Answer, smtp::Reply)> {
        self.send_text(to, &compose(number, FROM, to, 1000)).await
    }

    /// Sends a whole message.
    pub(crate) async fn send_text(&self, to: &str, text: &str) -> Result<(Answer, smtp::Reply)> {
        let smtp = Site::at(self.ports().smtp);
        let mut client = smtp::Client::connect(smtp, "EHLO client.example.net").await?;
        let answered = client.send(FROM, to, text).await?;
        client.quit().await;
        Ok(answered)
    }

    /// Sends test messages, insists on a 250 for each, and waits until they are in the mailbox: on a
    /// busy machine a 250 may come from the spool.
    pub(crate) async fn deliver(
        &self,
        numbers: impl IntoIterator<Item = u64>,
        to: &str,
    ) -> Result<()> {
        for number in numbers {
            let (answer, reply) = self.send(number, to).await?;
            ensure!(answer == Answer::Accepted, "{number}: {reply:?}");
            if reply.text.ends_with("queued") {
                self.spool_is_empty().await?;
            }
        }
        Ok(())
    }

    async fn spool_is_empty(&self) -> Result<()> {
        wait::until("the spool is empty", PATIENCE, || async {
            self.ask(&["spool", "retry", "--all"], "")?;
            let list = self.ask(&["spool", "list"], "")?;
            ensure!(list.as_array().is_some_and(Vec::is_empty), "{list}");
            Ok(())
        })
        .await
    }

    /// Logs in over TLS.
    pub(crate) async fn login(&self, user: &str) -> Result<pop3::Client> {
        let address = Site::at(self.ports().pop3s);
        pop3::Client::login(address, &self.trust()?, user, PASSWORD).await
    }

    /// Unique ids and numbers of all test messages in a mailbox.
    pub(crate) async fn mailbox(&self, user: &str) -> Result<Vec<(String, u64)>> {
        let mut client = self.login(user).await?;
        let mut found = Vec::new();
        for (id, text) in client.read_all().await? {
            found.push((id, message::number(&text).unwrap_or(0)));
        }
        client.quit().await?;
        Ok(found)
    }

    /// Numbers of all test messages in a mailbox.
    pub(crate) async fn numbers(&self, user: &str) -> Result<Vec<u64>> {
        let mailbox = self.mailbox(user).await?;
        Ok(mailbox.into_iter().map(|(_, number)| number).collect())
    }

    fn trust(&self) -> Result<Arc<ClientConfig>> {
        pop3::trust(&self.ca())
    }
}

impl Deref for TestSite {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl DerefMut for TestSite {
    fn deref_mut(&mut self) -> &mut Site {
        &mut self.site
    }
}

impl Drop for TestSite {
    fn drop(&mut self) {
        if std::thread::panicking() {
            say::line(&self.site.log_tail());
            return;
        }
        no_surprise(&self.site.surprises().unwrap());
    }
}
