//! The store forgets its history while replicas load and follow it: they load anew, and nobody known
//! is refused meanwhile.

use std::time::Duration;

use anyhow::Result;
use e2e::cluster::Cluster;

use super::{goes_on, seed};
use crate::load::{Running, SETTLE, SHARDS};
use crate::support::on_machines;

/// Restarts of replicas in turn, each with a compaction.
const ROUNDS: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(namespaces),
    ignore = "network namespaces cannot be made here (root)"
)]
async fn nobody_known_is_refused_while_the_store_is_compacted() {
    on_machines(SHARDS.len(), compact).await;
}

async fn compact(cluster: &mut Cluster) -> Result<()> {
    let load = Running::begin("compaction", cluster, seed()).await?;
    for round in 0..ROUNDS {
        let replica = &mut cluster.tiers[round % 2];
        replica.kill()?;
        replica.start()?;
        cluster.etcd.compact(round % 3)?;
        goes_on(&load, "the store is compacted", Duration::ZERO).await?;
        cluster.etcd.compact(round % 3)?;
        cluster.tiers[round % 2].ready(SETTLE).await?;
    }
    load.end(cluster).await
}
