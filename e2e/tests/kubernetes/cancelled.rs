//! A shard that was to leave and is wanted again keeps what it still has.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::kubernetes::Kubelet;
use e2e::wait;
use serde_json::Value;
use tokio::time::sleep;

use crate::people::{ACCOUNTS, mail, moves, people, read, spread};
use crate::platform::{LEAST, Operator, READY, apply, kubelet, ready, shards};
use crate::support::{Namespace, in_namespace};

const LEAVES: &str = "example-2";

/// So large that its copy takes seconds at the least pace that can be asked for.
const OCTETS: usize = 3 << 20;

/// Longer than the operator's pause between two rounds.
const ROUND: Duration = Duration::from_secs(12);

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_wanted_again_keeps_what_it_has() {
    in_namespace("cancelled", async |namespace| {
        let folder = tempfile::tempdir()?;
        let kubelet = kubelet(namespace, 40, folder.path())?;
        let operator = Operator::hasty(namespace);
        let spec = LEAST.replace("shards: 2", "shards: 3")
            + "  rebalance: {mode: Disabled, perShard: {moves: 1, bytesPerSecond: 1Mi}}\n";
        apply(namespace, &spec)?;
        ready(namespace, &kubelet).await?;
        people(namespace, &kubelet).await?;
        let sent = mail(namespace, OCTETS).await?;
        spread(namespace, "accounts on all three", |accounts| {
            accounts.len() == 3 && accounts.values().all(|accounts| *accounts > 4)
        })
        .await?;

        namespace.kubectl(&["scale", "mailcluster", "example", "--replicas=2"])?;
        wait::until("moves off it", READY, || async {
            let open = off_it(namespace, &kubelet, &["planned", "copying", "fencing"]).await?;
            ensure!(open > 0, "nothing moves");
            Result::<()>::Ok(())
        })
        .await?;
        namespace.kubectl(&["scale", "mailcluster", "example", "--replicas=3"])?;
        wait::until("a shard that stays", READY, || async {
            let found = shards(namespace).await?;
            let shard = found
                .iter()
                .find(|it| it.metadata.name.as_deref() == Some(LEAVES));
            let state = shard.and_then(|shard| shard.status.as_ref()?.state);
            ensure!(
                state == Some(crds::mailbox_shard::ShardState::Active),
                "{state:?}"
            );
            let phases = ["planned", "copying", "fencing", "verified"];
            let open = off_it(namespace, &kubelet, &phases).await?;
            ensure!(open == 0, "{open} moves off it are open");
            Ok(())
        })
        .await?;

        let gone = off_it(namespace, &kubelet, &["done"]).await?;
        let given_up = off_it(namespace, &kubelet, &["aborted"]).await?;
        ensure!(
            given_up > 0,
            "all {gone} had moved before anybody could cancel"
        );
        sleep(ROUND).await;
        let all = moves(namespace, &kubelet).await?.len();
        ensure!(all == gone + given_up, "{all} moves, {gone} of them done");
        spread(namespace, "what it has", |accounts| {
            let there = accounts.get(LEAVES).copied().unwrap_or(0);
            let sum: i64 = accounts.values().sum();
            there > 0 && sum >= i64::try_from(ACCOUNTS).unwrap_or(0)
        })
        .await?;
        read(namespace, &kubelet, &sent).await?;
        operator.stop().await
    })
    .await;
}

/// How many moves off the shard are in one of these phases.
async fn off_it(namespace: &Namespace, kubelet: &Kubelet, phases: &[&str]) -> Result<usize> {
    let found = moves(namespace, kubelet).await?;
    let is_in = |told: &&Value| {
        let phase = told["phase"].as_str().unwrap_or_default();
        told["source"] == LEAVES && phases.contains(&phase)
    };
    Ok(found.iter().filter(is_in).count())
}
