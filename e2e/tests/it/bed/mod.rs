//! The test bed: three members of etcd, two directory replicas, two shards, an MX and a proxy, each
//! on a machine of its own; and what each promise survives there, under load.

mod compaction;
mod leader;
mod replica;
mod shard;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::cluster::Cluster;
use e2e::network::Lan;
use e2e::{say, wait};

use crate::load::{Running, SETTLE, given};

/// Messages that have to be acknowledged while something is wrong.
const GOES_ON: u64 = 30;

/// The switch between the machines.
fn lan(cluster: &Cluster) -> Result<&Lan> {
    cluster.places().lan().context("the members are together")
}

fn seed() -> u64 {
    given("BUZONERA_SEED").unwrap_or_else(|| std::process::id().into())
}

/// Waits until mail was acknowledged for at least `time`, and some of it in the end.
async fn goes_on(load: &Running, what: &str, time: Duration) -> Result<()> {
    let (began, before) = (std::time::Instant::now(), load.accepted());
    wait::until(
        &format!("mail is accepted while {what}"),
        SETTLE,
        || async {
            let more = load.accepted() - before;
            ensure!(more >= GOES_ON && began.elapsed() >= time, "{more} so far");
            Ok(())
        },
    )
    .await?;
    say::line(&format!(
        "{} accepted while {what}",
        load.accepted() - before
    ));
    Ok(())
}
