//! The store loses its leader: first its cable, then its process. Two of three go on.

use std::time::Duration;

use anyhow::Result;
use e2e::cluster::Cluster;

use super::{goes_on, lan, seed};
use crate::load::{Running, SHARDS};
use crate::support::on_machines;

/// Longer than a lease, so that one which could not be renewed would show.
const LONG: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(namespaces),
    ignore = "network namespaces cannot be made here (root)"
)]
async fn mail_goes_on_when_the_store_loses_its_leader() {
    on_machines(SHARDS.len(), lose).await;
}

async fn lose(cluster: &mut Cluster) -> Result<()> {
    // Administrators ask for moves all the time, and are told that the store is away.
    cluster.announce("the store refused an administrator's request");
    let load = Running::begin("leader", cluster, seed()).await?;
    goes_on(&load, "all is well", Duration::ZERO).await?;
    let leader = cluster.etcd.leader(0)?;
    let name = cluster.etcd.members[leader].name().to_owned();
    lan(cluster)?.unplug(&name)?;
    goes_on(&load, "the leader is cut off", LONG).await?;
    lan(cluster)?.plug(&name)?;
    let leader = cluster.etcd.leader((leader + 1) % 3)?;
    cluster.etcd.members[leader].kill()?;
    goes_on(&load, "the next leader is dead", LONG).await?;
    cluster.etcd.members[leader].start()?;
    goes_on(&load, "it is back", Duration::ZERO).await?;
    load.end(cluster).await
}
