//! A disk that is really full under everything: no answer is a lie, nothing panics, and when there
//! is room again it goes on.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::disk::Disk;
use e2e::ledger::{Answer, Ledger, Verdict};
use e2e::message::compose;
use e2e::site::Site;
use e2e::{message, metrics, pop3, say, smtp, wait};

use crate::support::{ANA, FROM, PASSWORD, no_surprise};

const BO: &str = "bo@example.org";

/// The disk, and what of it is taken away until the end.
const DISK_MIB: u64 = 192;
const BALLAST: u64 = 64 << 20;

/// Messages of this size, as many as the disk holds and some more.
const SIZE: usize = 200 << 10;
const MOST: u64 = 1500;

/// Refusals in a row that show that nothing more goes in.
const ENOUGH: u32 = 6;

const PATIENCE: Duration = Duration::from_secs(120);

/// What was sent, and what was answered.
struct Sending {
    smtp: std::net::SocketAddr,
    next: u64,
    ledger: Ledger,
}

#[tokio::test]
#[cfg_attr(
    not(namespaces),
    ignore = "mount namespaces and loop devices cannot be had here (root)"
)]
async fn nothing_acknowledged_is_lost_on_a_full_disk() {
    on_a_small_disk(fill).await;
}

/// Shards stop at 5 % and mail goes to the spool, which lies on the same disk, until that is full.
#[tokio::test]
#[cfg_attr(
    not(namespaces),
    ignore = "mount namespaces and loop devices cannot be had here (root)"
)]
async fn nothing_spooled_is_lost_on_a_full_disk() {
    on_a_small_disk(fill_the_spool).await;
}

/// Does what is to be tested on a disk of its own; should it fail, the log is shown.
async fn on_a_small_disk(work: impl AsyncFnOnce(&mut Site, &Disk) -> Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::mount(folder.path(), "buzonera-data", DISK_MIB)
        .await
        .unwrap();
    let mut site = Site::start(&disk.folder(), &[]).await.unwrap();
    // The full disk itself asks for a person.
    site.announce("No space left on device");
    let outcome = work(&mut site, &disk).await;
    if outcome.is_err() {
        say::line(&site.log_tail());
    }
    outcome.unwrap();
    no_surprise(&site.surprises().unwrap());
}

async fn fill_the_spool(site: &mut Site, disk: &Disk) -> Result<()> {
    let mut sending = Sending::begin(site)?;
    for _ in 0..10 {
        sending.send().await?;
    }
    disk.fill("ballast", disk.free()? - (DISK_MIB << 20) / 25)?;
    status_ends(site, 1).await?;
    sending.until_refused().await?;
    say::line(&format!("full disk: {} are in", sending.next - 1));
    disk.fill("rest", u64::MAX >> 20)?;
    for _ in 0..4 {
        sending.send().await?;
    }
    spool_breaks(site).await?;
    serves_or_says_why(site, &sending).await?;
    disk.free_up("rest")?;
    disk.free_up("ballast")?;
    goes_on(site, &mut sending).await?;
    spool_is(site, 0).await?;
    status_ends(site, 0).await?;
    all_is_there(site, &sending).await
}

/// Attempts are recorded, so that on a full disk the spool's log fails in the end, unless all ends.
async fn spool_breaks(site: &mut Site) -> Result<()> {
    let admin = site.ports().admin;
    wait::until("the spool's log fails", PATIENCE, || {
        let retried = site.ask(&["spool", "retry", "--all"], "");
        let ended = !site.is_running();
        async move {
            ensure!(
                ended || (retried.is_ok() && failed(admin)? == 1),
                "it works"
            );
            Ok(())
        }
    })
    .await
}

async fn spool_is(site: &Site, wanted: u64) -> Result<()> {
    wait::until("the spool is as it should be", PATIENCE, || async {
        let is = failed(site.ports().admin)?;
        ensure!(is == wanted, "{is}");
        Ok(())
    })
    .await
}

/// 1 while the spool's log has failed.
fn failed(admin: u16) -> Result<u64> {
    let text = metrics::text(admin)?;
    metrics::counter(&text, "buzonera_mx_spool_failed").context(text)
}

async fn status_ends(site: &Site, code: i32) -> Result<()> {
    wait::until(&format!("status ends with {code}"), PATIENCE, || async {
        let output = site.buzonera(&["status"], "")?;
        ensure!(output.status.code() == Some(code), "{output:?}");
        Ok(())
    })
    .await
}

async fn fill(site: &mut Site, disk: &Disk) -> Result<()> {
    let mut sending = Sending::begin(site)?;
    disk.fill("ballast", BALLAST)?;
    sending.until_refused().await?;
    say::line(&format!(
        "full disk: {} are in, {} octets are free",
        sending.next - 1,
        disk.free()?
    ));
    // The last blocks too.
    disk.fill("rest", u64::MAX >> 20)?;
    for _ in 0..4 {
        sending.send().await?;
    }
    serves_or_says_why(site, &sending).await?;
    disk.free_up("rest")?;
    disk.free_up("ballast")?;
    goes_on(site, &mut sending).await?;
    all_is_there(site, &sending).await
}

/// Retries what is in the spool, which would otherwise wait for minutes.
async fn all_is_there(site: &Site, sending: &Sending) -> Result<()> {
    let mailboxes = Mailboxes::of(site)?;
    wait::until("all that was accepted is there", PATIENCE, || async {
        site.ask(&["spool", "retry", "--all"], "")?;
        let verdict = mailboxes.read(sending.ledger.clone()).await?;
        ensure!(verdict.is_good(), "{verdict}");
        say::line(&format!("full disk: {verdict}"));
        Ok(())
    })
    .await
}

impl Sending {
    /// Makes the accounts.
    fn begin(site: &Site) -> Result<Self> {
        site.add_domain("example.org")?;
        for user in [ANA, BO] {
            site.add_account(user, PASSWORD)?;
        }
        Ok(Self {
            smtp: Site::at(site.ports().smtp),
            next: 1,
            ledger: Ledger::default(),
        })
    }

    async fn until_refused(&mut self) -> Result<()> {
        let mut refused = 0;
        while refused < ENOUGH {
            ensure!(self.next < MOST, "the disk never fills");
            match self.send().await? {
                Answer::Accepted => refused = 0,
                Answer::Refused | Answer::Unknown => refused += 1,
            }
        }
        Ok(())
    }

    /// One message; the answer must be 250 or 4yz. No connection at all is one, too.
    async fn send(&mut self) -> Result<Answer> {
        let number = self.next;
        self.next += 1;
        let to = if number.is_multiple_of(2) { ANA } else { BO };
        let text = compose(number, FROM, to, SIZE);
        let sent = async {
            let mut client = smtp::Client::connect(self.smtp, "EHLO client.example.net").await?;
            client.send(FROM, to, &text).await
        };
        let (answer, reply) = match sent.await {
            Ok((answer, reply)) => (answer, reply),
            Err(_no_connection) => {
                self.ledger.sent(number, to, Answer::Refused);
                return Ok(Answer::Refused);
            }
        };
        let is_honest = matches!(reply.code, 250 | 400..=499 | 0);
        ensure!(is_honest, "{} {}", reply.code, reply.text);
        self.ledger.sent(number, to, answer);
        Ok(answer)
    }
}

/// On a full disk mail can be read, or the process ends and says why. It ends when a log has ended,
/// which it does when a write fails.
async fn serves_or_says_why(site: &mut Site, sending: &Sending) -> Result<()> {
    let mailboxes = Mailboxes::of(site)?;
    let ends = wait::until("mail is read, or it ends", PATIENCE, || {
        let running = site.is_running();
        let (mailboxes, ledger) = (&mailboxes, sending.ledger.clone());
        async move {
            if !running {
                return Ok(true);
            }
            let verdict = mailboxes.read(ledger).await?;
            // What is in the spool cannot be read yet.
            ensure!(verdict.doubled + verdict.strange == 0, "{verdict}");
            Ok(false)
        }
    })
    .await?;
    let log = site.log_tail();
    ensure!(!log.contains("panicked"), "{log}");
    if ends {
        let last = log.lines().last().unwrap_or_default();
        let says_why = last.starts_with("buzonera: ") && last.contains("No space left on device");
        ensure!(says_why, "it ended and does not say why: {log}");
        say::line(&format!("full disk: it ended: {last}"));
    }
    Ok(())
}

/// With room again, mail is taken again, after a restart if it ended. A shard whose own log ended is
/// run anew, and in one process all tiers with it; the spool's log is opened again in place.
async fn goes_on(site: &mut Site, sending: &mut Sending) -> Result<()> {
    if !site.is_running() {
        site.start_again().await?;
    } else if site.log_tail().contains("the shard only reads") {
        wait::until("all tiers start anew", PATIENCE, || async {
            let log = site.log_tail();
            ensure!(log.contains("all tiers start anew"), "{log}");
            Ok(())
        })
        .await?;
        say::line("full disk: all tiers started anew");
    }
    let sending = tokio::sync::Mutex::new(sending);
    wait::until("mail is taken again", PATIENCE, || async {
        let answer = sending.lock().await.send().await?;
        ensure!(answer == Answer::Accepted, "{answer:?}");
        Ok(())
    })
    .await
}

/// Both mailboxes.
struct Mailboxes {
    pop3s: std::net::SocketAddr,
    tls: std::sync::Arc<rustls::ClientConfig>,
}

impl Mailboxes {
    fn of(site: &Site) -> Result<Self> {
        Ok(Self {
            pop3s: Site::at(site.ports().pop3s),
            tls: pop3::trust(&site.ca())?,
        })
    }

    /// Compares what is there with what was sent.
    async fn read(&self, mut ledger: Ledger) -> Result<Verdict> {
        for user in [ANA, BO] {
            let mut client = pop3::Client::login(self.pop3s, &self.tls, user, PASSWORD).await?;
            for (_, octets) in client.read_all().await? {
                let number = message::number(&octets).context("a message that was never sent")?;
                ledger.read(number, user);
            }
            client.quit().await?;
        }
        Ok(ledger.verdict())
    }
}
