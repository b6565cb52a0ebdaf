//! A directory replica that is added is asked by every tier, and no tier is restarted for it.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::cluster::Cluster;
use e2e::{pop3, wait};

use crate::support::{ANA, PASSWORD, on_cluster};

/// Files are looked at every five seconds and have to stand still for as long.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_added_serves_when_the_first_ones_are_gone() {
    on_cluster(1, async |cluster: &mut Cluster| {
        let admin = cluster.admin(0)?;
        admin.add_domain("example.org").await?;
        admin.add_account(ANA, PASSWORD, "").await?;
        cluster.add_replica().await?;
        for name in ["shard-1", "mx-1", "proxy-1"] {
            wait::until(&format!("{name} knows it"), PATIENCE, || {
                knows_three(cluster, name)
            })
            .await?;
        }
        cluster.member("directory-1")?.kill()?;
        cluster.member("directory-2")?.kill()?;
        let trust = cluster.trust()?;
        wait::until("she logs in", PATIENCE, || {
            pop3::Client::login(cluster.pop3s, &trust, ANA, PASSWORD)
        })
        .await?;
        Ok(())
    })
    .await;
}

async fn knows_three(cluster: &Cluster, name: &str) -> Result<()> {
    let member = cluster.tiers.iter().find(|member| member.name() == name);
    let metrics = match member {
        Some(member) => member.metrics().await?,
        None => String::new(),
    };
    let gauge = "_directory_replicas{";
    let line = metrics.lines().find(|line| line.contains(gauge));
    ensure!(line.is_some_and(|line| line.ends_with(" 3")), "{line:?}");
    Ok(())
}
