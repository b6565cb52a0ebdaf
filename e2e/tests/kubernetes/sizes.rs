//! Accounts are picked by how large they are: one that would be too much stays, and others go instead.

use anyhow::{Context as _, Result, ensure};
use e2e::kubernetes::Kubelet;
use e2e::wait;
use plan::order;
use serde_json::Value;
use wire::ids::AccountId;

use crate::people::{ACCOUNTS, FIRST, address, buzonera, mail_of, moves, people, read, spread};
use crate::platform::{LEAST, Operator, READY, apply, kubelet, ready, shards, until};
use crate::support::{Namespace, in_namespace};

const GIVES: &str = "example-0";
const TAKES: &str = "example-1";

/// Nearly all octets that there are.
const HUGE: usize = 3 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_too_large_stays_and_small_ones_go() {
    in_namespace("sizes", async |namespace| {
        let folder = tempfile::tempdir()?;
        let kubelet = kubelet(namespace, 60, folder.path())?;
        let operator = Operator::hasty(namespace);
        apply(namespace, &in_mode("Disabled"))?;
        ready(namespace, &kubelet).await?;
        people(namespace, &kubelet).await?;
        let huge = first_to_go(namespace, &kubelet).await?;
        let octets = |person| if address(person) == huge { HUGE } else { 2000 };
        let sent = mail_of(namespace, FIRST, octets).await?;
        has_told(namespace).await?;

        apply(namespace, &in_mode("Auto"))?;
        spread(namespace, "few accounts beside the huge one", |accounts| {
            let there = |shard| accounts.get(shard).copied().unwrap_or(0);
            let all = i64::try_from(ACCOUNTS).unwrap_or(0);
            there(GIVES) < 6 && there(GIVES) + there(TAKES) >= all
        })
        .await?;
        until(namespace, "Rebalancing", "False", "Balanced", READY).await?;
        for told in moves(namespace, &kubelet).await? {
            let is_small = told["address"] != huge.as_str();
            ensure!(is_small && told["target"] == TAKES, "{told}");
        }
        read(namespace, &kubelet, &sent).await?;
        operator.stop().await
    })
    .await;
}

fn in_mode(mode: &str) -> String {
    format!("{LEAST}  rebalance: {{mode: {mode}}}\n")
}

/// The account that would go first from one shard to the other, if all were of the same size.
async fn first_to_go(namespace: &Namespace, kubelet: &Kubelet) -> Result<String> {
    let found = buzonera(namespace, kubelet, &["account", "list"], "").await?;
    let all = found.as_array().context("no list")?;
    let target = TAKES.parse()?;
    let place = |account: &&Value| {
        let id = account["id"]
            .as_str()
            .and_then(|id| id.parse::<AccountId>().ok());
        id.map(|id| order(id, &target))
    };
    let there = all.iter().filter(|account| account["shard"] == GIVES);
    let first = there.min_by_key(place).context("no account")?;
    ensure!(place(&first).is_some(), "{first}");
    let address = first["address"].as_str().context("no address")?;
    Ok(address.to_owned())
}

/// Waits until the shard has told how much it has.
async fn has_told(namespace: &Namespace) -> Result<()> {
    wait::until("a shard with much mail", READY, || async {
        let found = shards(namespace).await?;
        let gives = found
            .iter()
            .find(|it| it.metadata.name.as_deref() == Some(GIVES));
        let bytes = gives.and_then(|shard| shard.status.as_ref()?.bytes);
        let huge = i64::try_from(HUGE).unwrap_or(i64::MAX);
        ensure!(bytes.is_some_and(|bytes| bytes >= huge), "{bytes:?}");
        Ok(())
    })
    .await
}
