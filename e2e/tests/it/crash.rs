//! Tiers are killed at random while mail flows, is read and deleted, and accounts move: nothing that
//! was acknowledged is lost or doubled.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use e2e::cluster::Cluster;
use e2e::message::Random;
use e2e::say;

use crate::load::{Running, SETTLE, SHARDS, given};
use crate::support::on_cluster;

const KILLS: u64 = 60;

/// Between two kills, at most, in milliseconds; tiers start again within a second, so kills hit
/// tiers at work and tiers that start.
const PAUSE: u64 = 1_200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_doubled() {
    on_cluster(SHARDS.len(), crash).await;
}

async fn crash(cluster: &mut Cluster) -> Result<()> {
    let seed = given("BUZONERA_SEED").unwrap_or_else(|| std::process::id().into());
    let kills = given("BUZONERA_KILLS").unwrap_or(KILLS);
    say::line(&format!(
        "crash test: {kills} kills (BUZONERA_KILLS for more), seed {seed} (BUZONERA_SEED to repeat \
         its choices)"
    ));
    let load = Running::begin("crash test", cluster, seed).await?;
    let mut random = Random::new(seed ^ 200);
    kill_at_random(cluster, kills, &mut random).await?;
    for member in &mut cluster.tiers {
        member.revive()?;
        member.ready(SETTLE).await?;
    }
    load.end(cluster).await
}

/// Kills one member after the other; each is started again a moment later.
async fn kill_at_random(cluster: &mut Cluster, wanted: u64, random: &mut Random) -> Result<()> {
    let mut kills = 0;
    let mut by_name: HashMap<String, u32> = HashMap::new();
    while kills < wanted {
        let members = cluster.tiers.len() as u64;
        let victim = &mut cluster.tiers[usize::try_from(random.below(members))?];
        if victim.kill()? {
            kills += 1;
            *by_name.entry(victim.name().to_owned()).or_default() += 1;
        }
        // Not a wait for anything: the moments between kills are what is random.
        tokio::time::sleep(Duration::from_millis(random.below(PAUSE))).await;
        for member in &mut cluster.tiers {
            member.revive()?;
        }
    }
    say::line(&format!("crash test: killed {by_name:?}"));
    Ok(())
}
