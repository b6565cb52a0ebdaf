//! Two copies of one shard's volume on one machine: one of them serves, the other is refused, and
//! nothing that was acknowledged is anywhere but on the one.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::cluster::Cluster;
use e2e::process::Process;
use e2e::wait;

use crate::mail::{deliver, numbers};
use crate::support::{ANA, PASSWORD, copy, on_cluster};

const PATIENCE: Duration = Duration::from_secs(120);

/// Messages in the end.
const LAST: u64 = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_copies_one_serves() {
    on_cluster(1, clones).await;
}

async fn clones(cluster: &mut Cluster) -> Result<()> {
    let admin = cluster.admin(0)?;
    admin.add_domain("example.org").await?;
    admin.add_account(ANA, PASSWORD, "shard-1").await?;
    deliver(cluster, 1, ANA).await?;
    cluster.member("shard-1")?.stop(PATIENCE).await?;
    let folder = cluster.member("shard-1")?.folder().to_owned();
    let volumes = [folder.join("data"), folder.join("copy")];
    copy(&volumes[0], &volumes[1])?;

    let mut both = [
        on(cluster, &volumes[0], "first")?,
        on(cluster, &volumes[1], "second")?,
    ];
    for mark in 2..=LAST {
        deliver(cluster, mark, ANA).await?;
    }
    let winner = the_one_that_serves(&mut both).await?;
    refused(&mut both[1 - winner]).await?;
    all_is_read(cluster).await?;

    // The one that served dies. The other has the same id, and is older now, for good.
    both[winner].kill()?;
    refused(&mut on(cluster, &volumes[1 - winner], "older")?).await?;
    let _serving = on(cluster, &volumes[winner], "right")?;
    all_is_read(cluster).await
}

/// A process of the shard on this volume; its log is called `name`.
fn on(cluster: &mut Cluster, volume: &Path, name: &str) -> Result<Process> {
    let volume = volume.display().to_string();
    let shard = cluster.member("shard-1")?;
    shard.second(name, &[("--data", volume.as_str())])
}

/// Waits until one of the two has ended; which one has not.
async fn the_one_that_serves(both: &mut [Process; 2]) -> Result<usize> {
    let mut left = wait::until("one of them has ended", PATIENCE, || {
        let running = both.each_mut().map(Process::is_running);
        async move {
            ensure!(running != [true, true], "both run");
            Ok(running)
        }
    })
    .await?
    .into_iter();
    left.position(|runs| runs)
        .ok_or_else(|| anyhow::anyhow!("both have ended"))
}

async fn refused(process: &mut Process) -> Result<()> {
    let status = process.ended(PATIENCE).await?;
    let said = process.log_tail(4_000);
    ensure!(status.code() == Some(1), "{status}: {said}");
    ensure!(said.contains("replace-volume shard-1"), "{said}");
    Ok(())
}

/// Everything that was accepted is read, once.
async fn all_is_read(cluster: &Cluster) -> Result<()> {
    wait::until("all mail is there, once", PATIENCE, || async {
        let numbers = numbers(cluster, ANA).await?;
        ensure!(numbers == (1..=LAST).collect::<Vec<_>>(), "{numbers:?}");
        Ok(())
    })
    .await
}
