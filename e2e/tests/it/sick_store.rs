//! An etcd that takes no writes, or whose disk needs seconds for each: no shard loses its lease, mail
//! goes straight to the shards, and whoever looks is told what is wrong.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::cluster::{Cluster, Member, SlowDisk, fill};
use e2e::ledger::Answer;
use e2e::message::compose;
use e2e::{metrics, smtp, wait};
use serde_json::Value;

use crate::support::{FROM, PASSWORD, on_cluster};

/// One account on each shard.
const ACCOUNTS: [(&str, &str); 2] = [
    ("ana@example.org", "shard-1"),
    ("bo@example.org", "shard-2"),
];

/// Three leases' time. The variable asks for more.
const LENGTH: Duration = Duration::from_secs(60);
const LENGTH_VARIABLE: &str = "BUZONERA_SICK_STORE_SECONDS";

/// Between two messages to the same account.
const PAUSE: Duration = Duration::from_secs(1);

/// What one sync takes on a disk that is about to fail.
const SLOW_SYNC: Duration = Duration::from_secs(3);

/// How long a lease that is held may not be counted.
const COUNTED: Duration = Duration::from_secs(60);

/// A report takes 10 s at most, and the next one waits ten times as long.
const REPORTED: Duration = Duration::from_secs(120);

/// Soon full.
const QUOTA: &str = "33554432";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_etcd_ends_no_lease_and_spools_no_mail() {
    on_cluster(ACCOUNTS.len(), full).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_etcd_ends_no_lease_and_spools_no_mail() {
    on_cluster(ACCOUNTS.len(), slow).await;
}

async fn full(cluster: &mut Cluster) -> Result<()> {
    let etcd = &mut cluster.etcd.members[0];
    etcd.stop(Duration::from_secs(30)).await?;
    etcd.add_flag("--quota-backend-bytes", QUOTA);
    etcd.start()?;
    add_accounts(cluster).await?;
    fill(cluster.etcd.endpoint(0)).await?;
    mail_goes_straight_to_the_shards(cluster).await?;

    let refused = cluster.buzonera(&["domain", "add", "example.net"], "")?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(said.contains("takes no writes"), "{said}");
    let status = cluster.buzonera(&["status", "--output", "json"], "")?;
    let status: Value = serde_json::from_slice(&status.stdout)?;
    let fault = status["store_fault"].as_str().unwrap_or_default();
    ensure!(fault.contains("takes no writes"), "{status}");
    for (_, shard) in ACCOUNTS {
        a_report_fails(cluster.member(shard)?).await?;
        let log = cluster.member(shard)?.log_tail(20_000);
        ensure!(log.contains("does not record how full"), "{log}");
    }
    faults_are_counted(cluster).await
}

async fn slow(cluster: &mut Cluster) -> Result<()> {
    add_accounts(cluster).await?;
    let slow = SlowDisk::of(cluster.etcd.members[0].id()?, SLOW_SYNC)?;
    mail_goes_straight_to_the_shards(cluster).await?;
    faults_are_counted(cluster).await?;
    drop(slow);
    Ok(())
}

async fn add_accounts(cluster: &Cluster) -> Result<()> {
    let admin = cluster.admin(0)?;
    admin.add_domain("example.org").await?;
    for (address, shard) in ACCOUNTS {
        admin.add_account(address, PASSWORD, shard).await?;
    }
    Ok(())
}

async fn mail_goes_straight_to_the_shards(cluster: &mut Cluster) -> Result<()> {
    let length = std::env::var(LENGTH_VARIABLE).ok();
    let length = match length {
        Some(seconds) => Duration::from_secs(seconds.parse().context(LENGTH_VARIABLE)?),
        None => LENGTH,
    };
    leases_are_held(cluster).await?;
    let began = Instant::now();
    let mut number = 0;
    while began.elapsed() < length {
        for (address, shard) in ACCOUNTS {
            number += 1;
            let mut client = smtp::Client::connect(cluster.smtp, "EHLO client.example.net").await?;
            let message = compose(number, FROM, address, 1000);
            let (answer, reply) = client.send(FROM, address, &message).await?;
            ensure!(answer == Answer::Accepted, "{number}: {reply:?}");
            ensure!(!reply.text.ends_with("queued"), "{number}: {reply:?}");
            let held = count(cluster, shard, "buzonera_storage_lease_held").await?;
            ensure!(held == 1, "{shard} holds no lease");
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// One that took long, while the store was started anew, puts the next one off for long.
async fn a_report_fails(member: &Member) -> Result<()> {
    wait::until("a report that failed is counted", REPORTED, || async {
        let text = member.metrics().await?;
        let failed = metrics::counter(&text, "buzonera_storage_reports_failed_total");
        ensure!(failed > Some(0), "{failed:?}");
        Ok(())
    })
    .await
}

/// Shards look at their leases now and then to count them.
async fn leases_are_held(cluster: &mut Cluster) -> Result<()> {
    for (_, shard) in ACCOUNTS {
        let member: &Member = cluster.member(shard)?;
        wait::until("the lease is counted", COUNTED, || async {
            let text = member.metrics().await?;
            let held = metrics::counter(&text, "buzonera_storage_lease_held");
            ensure!(held == Some(1), "{held:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// By the replicas together: a shard reports to one of them.
async fn faults_are_counted(cluster: &mut Cluster) -> Result<()> {
    let mut faults = 0;
    for replica in ["directory-1", "directory-2"] {
        let text = cluster.member(replica)?.metrics().await?;
        let of_faults = |line: &&str| {
            let outcome = ["full", "unknown", "unavailable"];
            outcome
                .iter()
                .any(|outcome| line.contains(&format!("\"{outcome}\"")))
        };
        let lines: Vec<_> = text.lines().filter(of_faults).collect();
        let counted = metrics::counter(&lines.join("\n"), "buzonera_directory_store_writes_total");
        faults += counted.unwrap_or(0);
    }
    ensure!(faults > 0, "no replica counted a write that was not taken");
    Ok(())
}

async fn count(cluster: &mut Cluster, member: &str, name: &str) -> Result<u64> {
    let text = cluster.member(member)?.metrics().await?;
    metrics::counter(&text, name).with_context(|| format!("{member} does not count {name}"))
}
