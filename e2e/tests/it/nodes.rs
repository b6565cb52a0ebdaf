//! A second machine that starts a shard while the first may still serve it: it waits until the lease
//! has ended. Two processes on copies of a volume that say different boot ids are two machines.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::cluster::Cluster;
use e2e::process::Process;
use e2e::wait;

use crate::mail::{deliver, numbers};
use crate::support::{ANA, PASSWORD, copy, on_cluster};

const PATIENCE: Duration = Duration::from_secs(120);

/// What a shard says when the lease is not its own yet.
const WAITS: &str = "the lease is held; waiting";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_machine_waits_for_the_lease() {
    on_cluster(1, nodes).await;
}

async fn nodes(cluster: &mut Cluster) -> Result<()> {
    cluster.announce("has taken over");
    let admin = cluster.admin(0)?;
    admin.add_domain("example.org").await?;
    admin.add_account(ANA, PASSWORD, "shard-1").await?;
    deliver(cluster, 1, ANA).await?;
    let first = admin.shards().await?.remove(0).incarnation;

    // The first machine is silent, and nobody knows whether it is dead.
    cluster.member("shard-1")?.freeze()?;
    let second = another_machine(cluster)?;
    wait::until("it is told to wait", PATIENCE, || async {
        let said = second.log_tail(8_000);
        ensure!(said.contains(WAITS), "{said}");
        Ok(())
    })
    .await?;
    cluster.serves("shard-1", first, PATIENCE).await?;
    deliver(cluster, 2, ANA).await?;

    cluster.member("shard-1")?.thaw()?;
    first_ends(cluster).await?;
    deliver(cluster, 3, ANA).await?;
    wait::until("all mail is there, once", PATIENCE, || async {
        let numbers = numbers(cluster, ANA).await?;
        ensure!(numbers == [1, 2, 3], "{numbers:?}");
        Ok(())
    })
    .await
}

/// The same shard with the same identity, on the volume as it is, elsewhere.
fn another_machine(cluster: &mut Cluster) -> Result<Process> {
    let shard = cluster.member("shard-1")?;
    let volume = shard.folder().join("moved");
    copy(&shard.folder().join("data"), &volume)?;
    let volume = volume.display().to_string();
    let flags = [
        ("--data", volume.as_str()),
        ("--boot-id", "another-machine"),
    ];
    shard.second("another-machine", &flags)
}

async fn first_ends(cluster: &mut Cluster) -> Result<()> {
    let shard = cluster.member("shard-1")?;
    let ended = wait::until("the first has ended", PATIENCE, || {
        let runs = shard.is_running();
        async move {
            ensure!(!runs, "it runs");
            Ok(())
        }
    });
    ended.await?;
    let said = shard.log_tail(4_000);
    ensure!(said.contains("has taken over"), "{said}");
    Ok(())
}
