//! A shard that is killed and started again: its mail is readable seconds after it serves, and no
//! other shard's mail takes notice.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::cluster::Cluster;
use e2e::ledger::Ledger;
use e2e::paced::Paced;
use e2e::reader::Reader;
use e2e::{metrics, say, wait};

use crate::support::{PASSWORD, on_cluster};

/// The one that is killed, and the other.
const SHARDS: [&str; 2] = ["shard-1", "shard-2"];

/// Accounts on each.
const ACCOUNTS: usize = 4;

/// From *serving* until all that was acknowledged before is read.
const SOON: Duration = Duration::from_secs(5);
/// Likewise after a long absence: much more is spooled then.
const AFTER_LONG: Duration = Duration::from_secs(60);

/// For a shard to serve again on a busy machine.
const START: Duration = Duration::from_secs(60);

/// How hard. Debug builds beside others on two cores do not keep up the rate that is promised.
struct Load {
    kills: u64,
    a_second: u32,
    absence: Duration,
}

impl Load {
    fn given() -> Self {
        Self {
            kills: given("BUZONERA_RESTARTS").unwrap_or(3),
            a_second: given("BUZONERA_RATE").unwrap_or(40) as u32,
            absence: Duration::from_secs(given("BUZONERA_ABSENCE").unwrap_or(10)),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_is_read_seconds_after_its_shard_serves_again() {
    on_cluster(SHARDS.len(), restarts).await;
}

async fn restarts(cluster: &mut Cluster) -> Result<()> {
    let load = Load::given();
    say::line(&format!(
        "{} restarts, then an absence of {} s, under {} messages a second; the full form: \
         BUZONERA_RESTARTS=20 BUZONERA_ABSENCE=60 BUZONERA_RATE=200",
        load.kills,
        load.absence.as_secs(),
        load.a_second
    ));
    let mut readers = people(cluster).await?;
    let mx = cluster.member("mx-1")?;
    mx.stop(START).await?;
    // All our senders come from one address.
    mx.add_flag("--limits-max-per-address", "2000");
    mx.start()?;
    mx.ready(START).await?;
    let recipients = readers.iter().map(|reader| reader.user().to_owned());
    let paced = Paced::new(cluster.smtp, recipients.collect(), load.a_second);
    let sending = tokio::spawn(paced.clone().run());
    let mut incarnation = cluster.serves(SHARDS[0], 0, START).await?;
    for _ in 0..load.kills {
        let restart = restart(cluster, &paced, &mut readers, incarnation, Duration::ZERO);
        incarnation = restart.await?;
    }
    restart(cluster, &paced, &mut readers, incarnation, load.absence).await?;
    paced.stop();
    sending.await??;
    let counted = cluster.member("mx-1")?.metrics().await?;
    let spooled = |shard| metrics::labelled(&counted, "buzonera_mx_spooled_total", "shard", shard);
    say::line(&format!(
        "spooled: {} for the shard that was killed, {} for the other",
        spooled(SHARDS[0]),
        spooled(SHARDS[1])
    ));
    ensure!(
        spooled(SHARDS[0]) > 0,
        "nothing was spooled in the long absence"
    );
    ensure!(
        spooled(SHARDS[1]) == 0,
        "the other shard's mail was spooled"
    );
    verdict(paced.ledger(), &mut readers).await
}

/// Accounts on both shards, and who reads them: first those of the shard that is killed.
async fn people(cluster: &Cluster) -> Result<Vec<Reader>> {
    let admin = cluster.admin(0)?;
    admin.add_domain("example.org").await?;
    let mut readers = Vec::new();
    for shard in SHARDS {
        cluster.serves(shard, 0, START).await?;
        for number in 0..ACCOUNTS {
            let user = format!("{shard}-{number}@example.org");
            admin.add_account(&user, PASSWORD, shard).await?;
            let reader = Reader::new(cluster.pop3s, cluster.trust()?, user, PASSWORD);
            readers.push(reader);
        }
    }
    Ok(readers)
}

/// Kills the shard once mail has come to it, starts it after a while, and reads. Its incarnation
/// then.
async fn restart(
    cluster: &mut Cluster,
    paced: &Paced,
    readers: &mut [Reader],
    incarnation: u64,
    absence: Duration,
) -> Result<u64> {
    let shard = cluster.member(SHARDS[0])?;
    ensure!(shard.kill()?, "{} ended by itself", SHARDS[0]);
    // The absence is what is tested.
    tokio::time::sleep(absence).await;
    shard.start()?;
    let serving = cluster.serves(SHARDS[0], incarnation, START).await?;
    let since = Instant::now();
    let accepted = paced.accepted();
    let limit = if absence.is_zero() { SOON } else { AFTER_LONG };
    for reader in readers.iter_mut().take(ACCOUNTS) {
        let theirs = accepted.iter().filter(|it| it.recipient == reader.user());
        let numbers: Vec<u64> = theirs.map(|it| it.number).collect();
        let left = limit.saturating_sub(since.elapsed());
        read_all(reader, &numbers, left).await?;
    }
    Ok(serving)
}

/// Reads until all of these are seen.
async fn read_all(reader: &mut Reader, numbers: &[u64], limit: Duration) -> Result<()> {
    let what = format!("all mail of {} is read", reader.user());
    let reader = tokio::sync::Mutex::new(reader);
    wait::until(&what, limit, || async {
        let mut reader = reader.lock().await;
        let missing = |reader: &Reader| {
            let missing = numbers.iter().filter(|it| reader.seen(**it).is_none());
            missing.count()
        };
        if missing(&reader) > 0 {
            reader.read_on().await?;
        }
        let missing = missing(&reader);
        ensure!(missing == 0, "{missing} are missing");
        Ok(())
    })
    .await
}

async fn verdict(mut ledger: Ledger, readers: &mut [Reader]) -> Result<()> {
    for reader in readers {
        reader.read_on().await.context("all is over")?;
        reader.tell(&mut ledger);
    }
    let verdict = ledger.verdict();
    say::line(&verdict.to_string());
    ensure!(verdict.is_good(), "{verdict}");
    Ok(())
}

fn given(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
