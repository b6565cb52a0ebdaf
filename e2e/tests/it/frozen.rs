//! A shard that is frozen past its lease: nobody else takes its volume, it answers nothing stale,
//! and what was accepted for it meanwhile arrives.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::cluster::Cluster;
use e2e::{pop3, wait};

use crate::mail::{deliver, numbers};
use crate::support::{ANA, PASSWORD, on_cluster};

const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_shard_serves_nothing_stale() {
    on_cluster(1, freeze).await;
}

async fn freeze(cluster: &mut Cluster) -> Result<()> {
    let admin = cluster.admin(0)?;
    admin.add_domain("example.org").await?;
    admin.add_account(ANA, PASSWORD, "shard-1").await?;
    deliver(cluster, 1, ANA).await?;
    let tls = cluster.trust()?;
    let mut session = pop3::Client::login(cluster.pop3s, &tls, ANA, PASSWORD).await?;
    session.ask("DELE 1").await?;

    cluster.member("shard-1")?.freeze()?;
    second_process_is_refused(cluster).await?;
    wait::until("the shard's lease runs out", PATIENCE, || async {
        let shards = admin.shards().await.map_err(anyhow::Error::from)?;
        ensure!(shards.iter().all(|shard| !shard.live), "{shards:?}");
        Ok(())
    })
    .await?;
    deliver(cluster, 2, ANA)
        .await
        .context("mail for a frozen shard is spooled")?;

    // Thawed while nobody can tell it whether it was superseded: it acknowledges nothing.
    for replica in ["directory-1", "directory-2"] {
        cluster.member(replica)?.freeze()?;
    }
    cluster.member("shard-1")?.thaw()?;
    let refused = session
        .quit()
        .await
        .expect_err("deletes were acknowledged without a lease");
    ensure!(format!("{refused:#}").contains("[SYS/TEMP]"), "{refused:#}");
    for replica in ["directory-1", "directory-2"] {
        cluster.member(replica)?.thaw()?;
    }

    wait::until("all mail is there, once", PATIENCE, || async {
        let numbers = numbers(cluster, ANA).await?;
        ensure!(numbers == [1, 2], "{numbers:?}");
        Ok(())
    })
    .await
}

/// A second process on the volume of a frozen one.
async fn second_process_is_refused(cluster: &mut Cluster) -> Result<()> {
    let mut second = cluster
        .member("shard-1")?
        .second("second", &[("--lock-patience", "1s")])?;
    let status = second.ended(PATIENCE).await?;
    let said = second.log_tail(4_000);
    ensure!(status.code() == Some(1), "{status}: {said}");
    ensure!(said.contains("lock"), "it does not say why: {said}");
    Ok(())
}

/// A crashed shard does not wait for its own old lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crashed_shard_is_back_before_its_lease_ends() {
    on_cluster(1, crash).await;
}

async fn crash(cluster: &mut Cluster) -> Result<()> {
    let admin = cluster.admin(0)?;
    let before = admin.shards().await?.remove(0);
    let shard = cluster.member("shard-1")?;
    shard.kill()?;
    shard.start()?;
    // The old lease is for 20 s, and it is never seen to end: the shard is live all the time.
    wait::until(
        "the shard has its next incarnation",
        Duration::from_secs(15),
        || async {
            let shard = admin.shards().await.map_err(anyhow::Error::from)?.remove(0);
            ensure!(shard.live, "the lease has run out: {shard:?}");
            ensure!(shard.incarnation > before.incarnation, "{shard:?}");
            Ok(())
        },
    )
    .await
}
