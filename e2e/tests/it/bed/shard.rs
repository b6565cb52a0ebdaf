//! A shard that is cut off for longer than its lease: mail for it is kept, the others go on, and it
//! acknowledges nothing that it does not own.

use std::time::Duration;

use anyhow::Result;
use e2e::cluster::Cluster;

use super::{goes_on, lan, seed};
use crate::load::{Running, SHARDS};
use crate::support::on_machines;

/// Longer than a lease.
const LONG: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(namespaces),
    ignore = "network namespaces cannot be made here (root)"
)]
async fn mail_goes_on_while_a_shard_is_cut_off() {
    on_machines(SHARDS.len(), cut).await;
}

async fn cut(cluster: &mut Cluster) -> Result<()> {
    let load = Running::begin("shard", cluster, seed()).await?;
    goes_on(&load, "all is well", Duration::ZERO).await?;
    lan(cluster)?.unplug("shard-1")?;
    goes_on(&load, "a shard is cut off", LONG).await?;
    lan(cluster)?.plug("shard-1")?;
    goes_on(&load, "it is back", Duration::ZERO).await?;
    load.end(cluster).await
}
