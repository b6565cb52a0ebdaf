//! `bench restart`: how long the mail of a shard that is killed and started again takes to be
//! readable, and how much of it goes to the spool.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::cluster::Cluster;
use crate::ledger::Ledger;
use crate::paced::{Accepted, Paced};
use crate::reader::Reader;
use crate::{metrics, say};

/// How hard.
#[derive(Debug, Args)]
pub struct RestartArgs {
    /// How often a shard is killed and started again at once.
    #[arg(long, default_value_t = 200)]
    pub restarts: u32,
    /// Messages a second, for two shards.
    #[arg(long, default_value_t = 500)]
    pub rate: u32,
    /// Accounts that mail is for, on each shard.
    #[arg(long, default_value_t = 20)]
    pub accounts: u32,
    /// Seconds from the end of one restart's mail to the next kill.
    #[arg(long, default_value_t = 1)]
    pub pause: u64,
}

const SHARDS: [&str; 2] = ["shard-1", "shard-2"];
const PASSWORD: &str = "knock knock";

/// Before a mailbox that could not be read is read again.
const AGAIN: Duration = Duration::from_millis(25);

/// For anything that hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// Measures and prints.
pub(super) async fn run(args: RestartArgs, folder: &Path) -> Result<()> {
    say::line("starting, adding accounts…");
    let mut cluster = Cluster::start(folder, SHARDS.len()).await?;
    let outcome = measure(&args, &mut cluster).await;
    if outcome.is_err() {
        say::line(&cluster.logs());
    }
    outcome
}

async fn measure(args: &RestartArgs, cluster: &mut Cluster) -> Result<()> {
    let mx = cluster.member("mx-1")?;
    mx.stop(LIMIT).await?;
    // All our senders come from one address.
    mx.add_flag("--limits-max-per-address", "2000");
    mx.start()?;
    mx.ready(LIMIT).await?;
    let mut readers = people(cluster, args.accounts).await?;
    let recipients = readers.iter().map(|reader| reader.user().to_owned());
    let paced = Paced::new(cluster.smtp, recipients.collect(), args.rate);
    let sending = tokio::spawn(paced.clone().run());
    let mut times = Times::default();
    let mut incarnation = cluster.serves(SHARDS[0], 0, LIMIT).await?;
    for number in 1..=args.restarts {
        tokio::time::sleep(Duration::from_secs(args.pause)).await;
        let killed = Instant::now();
        let shard = cluster.member(SHARDS[0])?;
        ensure!(shard.kill()?, "{} ended by itself", SHARDS[0]);
        shard.start()?;
        incarnation = cluster.serves(SHARDS[0], incarnation, LIMIT).await?;
        let away = Away {
            killed,
            serving: Instant::now(),
        };
        let theirs = args.accounts as usize;
        times.add(away, &paced, &mut readers[..theirs]).await?;
        if number % 10 == 0 {
            say::line(&format!("{number} restarts"));
        }
    }
    paced.stop();
    sending.await??;
    times.print();
    print_counted(&cluster.member("mx-1")?.metrics().await?);
    verdict(paced.ledger(), readers).await
}

/// Accounts on both shards, first those of the shard that is killed.
async fn people(cluster: &Cluster, accounts: u32) -> Result<Vec<Reader>> {
    let admin = cluster.admin(0)?;
    admin.add_domain("example.org").await?;
    let mut readers = Vec::new();
    for shard in SHARDS {
        cluster.serves(shard, 0, LIMIT).await?;
        for number in 0..accounts {
            let user = format!("{shard}-{number}@example.org");
            admin.add_account(&user, PASSWORD, shard).await?;
            let reader = Reader::new(cluster.pop3s, cluster.trust()?, user, PASSWORD);
            readers.push(reader);
        }
    }
    Ok(readers)
}

/// One absence of the shard.
#[derive(Debug, Clone, Copy)]
struct Away {
    killed: Instant,
    serving: Instant,
}

impl Away {
    fn has(&self, moment: Instant) -> bool {
        (self.killed..self.serving).contains(&moment)
    }
}

/// From *serving* until messages were read.
#[derive(Debug, Default)]
struct Times {
    /// From the kill until the shard served.
    absences: Vec<Duration>,
    /// Of messages that were acknowledged while the shard was away: they were spooled.
    acknowledged: Vec<Duration>,
    /// Of those that were sent then and acknowledged later: they waited in memory.
    waited: Vec<Duration>,
}

impl Times {
    /// Reads until all that was sent during the absence, and acknowledged by now, is there.
    async fn add(&mut self, away: Away, paced: &Paced, readers: &mut [Reader]) -> Result<()> {
        self.absences.push(away.serving - away.killed);
        let users: Vec<String> = readers.iter().map(|it| it.user().to_owned()).collect();
        let concerns = |it: &&Accepted| {
            users.contains(&it.recipient) && (away.has(it.sent) || away.has(it.answered))
        };
        let reading = readers.iter_mut().map(|reader| async {
            loop {
                let accepted = paced.accepted();
                let theirs = accepted.iter().filter(concerns);
                let theirs = theirs.filter(|it| it.recipient == reader.user());
                let missing = theirs.filter(|it| reader.seen(it.number).is_none()).count();
                if missing == 0 {
                    return Ok(());
                }
                if away.serving.elapsed() > LIMIT {
                    bail!("{missing} messages of {} do not come", reader.user());
                }
                if let Err(error) = reader.read_on().await {
                    say::line(&format!("{}: {error:#}", reader.user()));
                    tokio::time::sleep(AGAIN).await;
                }
            }
        });
        futures::future::try_join_all(reading).await?;
        for it in paced.accepted().iter().filter(concerns) {
            let reader = readers.iter().find(|reader| reader.user() == it.recipient);
            let Some(seen) = reader.and_then(|reader| reader.seen(it.number)) else {
                continue;
            };
            let took = seen.saturating_duration_since(away.serving);
            match away.has(it.answered) {
                true => self.acknowledged.push(took),
                false => self.waited.push(took),
            }
        }
        Ok(())
    }

    fn print(&mut self) {
        line("absence, kill to serving", &mut self.absences);
        line(
            "serving to readable, acknowledged while away",
            &mut self.acknowledged,
        );
        line(
            "serving to readable, sent while away, acknowledged later",
            &mut self.waited,
        );
    }
}

fn line(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |percent: usize| {
        let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(place).map_or(0, Duration::as_millis)
    };
    say::line(&format!(
        "{what}: {} of them, p50 {} ms, p99 {} ms, most {} ms",
        times.len(),
        at(50),
        at(99),
        at(100)
    ));
}

fn print_counted(text: &str) {
    for shard in SHARDS {
        let spooled = metrics::labelled(text, "buzonera_mx_spooled_total", "shard", shard);
        say::line(&format!("spooled for {shard}: {spooled}"));
    }
    let waited = metrics::labelled(text, "buzonera_mx_waited_total", "result", "waited");
    say::line(&format!("waited in memory: {waited}"));
}

async fn verdict(mut ledger: Ledger, readers: Vec<Reader>) -> Result<()> {
    for mut reader in readers {
        reader.read_on().await.context("all is over")?;
        reader.tell(&mut ledger);
    }
    let verdict = ledger.verdict();
    say::line(&verdict.to_string());
    ensure!(verdict.is_good(), "{verdict}");
    Ok(())
}
