//! A directory replica that the network has, and the store has not: it says no to nobody, and lets
//! nobody in whom it should not know any more.

use std::time::Duration;

use anyhow::Result;
use e2e::cluster::Cluster;

use super::{goes_on, lan, seed};
use crate::load::{Running, SHARDS};
use crate::support::on_machines;

/// Longer than a replica may go without a word from the store.
const LONG: Duration = Duration::from_secs(70);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(namespaces),
    ignore = "network namespaces cannot be made here (root)"
)]
async fn nobody_known_is_refused_while_a_replica_is_cut_off_from_the_store() {
    on_machines(SHARDS.len(), cut).await;
}

async fn cut(cluster: &mut Cluster) -> Result<()> {
    cluster.announce("the store refused an administrator's request");
    let load = Running::begin("replica", cluster, seed()).await?;
    goes_on(&load, "all is well", Duration::ZERO).await?;
    for member in &cluster.etcd.members {
        lan(cluster)?.part("directory-1", member.name())?;
    }
    goes_on(&load, "a replica is without its store", LONG).await?;
    for member in &cluster.etcd.members {
        lan(cluster)?.join("directory-1", member.name())?;
    }
    lan(cluster)?.unplug("directory-2")?;
    goes_on(
        &load,
        "the other replica is cut off from everybody",
        Duration::ZERO,
    )
    .await?;
    lan(cluster)?.plug("directory-2")?;
    load.end(cluster).await
}
