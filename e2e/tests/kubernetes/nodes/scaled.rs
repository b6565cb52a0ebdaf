//! While mail flows and people read, `spec.shards` goes from two to three and back; the operator is
//! away in the middle of the moves. Nothing is lost, doubled, altered or refused.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::demo::kubernetes::{CLUSTER, Load, scale};
use e2e::kubernetes::platform::OPERATOR;
use e2e::kubernetes::{Access, Platform};
use e2e::{say, wait};

use super::support::on_platform;

const LOAD: Load = Load {
    accounts: 60,
    rate: 10,
    calm: 1,
};

/// How many accounts the plan moves to the third shard: what takes 30 each to 20 each.
const PLANNED: usize = 20;

/// Uneven shards are looked at for a minute before anything moves.
const BEGUN: Duration = Duration::from_secs(240);

/// For moves to end that have begun.
const ENDED: Duration = Duration::from_secs(120);

#[cfg_attr(not(namespaces), ignore = "namespaces cannot be made here (root)")]
#[tokio::test(flavor = "multi_thread")]
async fn mail_flows_while_shards_come_and_go_and_the_operator_is_away() {
    on_platform("scaled", async |access| {
        let platform = Platform::of(access, "scaled", "example");
        platform.apply(CLUSTER)?;
        platform.ready(|_| ()).await?;
        let folder = tempfile::tempdir()?;
        let scaled = scale(&platform, LOAD, folder.path());
        let (report, ()) = tokio::try_join!(scaled, away_in_the_middle(access, &platform))?;
        say::line(&format!("{report:?}"));
        ensure!(report.is_whole(), "{report:?}");
        ensure!(report.up > 0 && report.down > 0, "{report:?}");
        ensure!(report.up * 10 <= PLANNED * 12, "{report:?}");
        let claim = ["get", "pvc", "example-2", "--output", "name"];
        platform.kubectl(&claim).map(drop)
    })
    .await;
}

/// Takes the operator away once accounts move, until all that move have moved.
async fn away_in_the_middle(access: &Access, platform: &Platform) -> Result<()> {
    let open = wait::until("accounts move", BEGUN, || async {
        let open = moves(platform, false)?;
        ensure!(!open.is_empty(), "none");
        Ok(open)
    })
    .await?;
    operators(access, 0).await?;
    wait::until("they move without an operator", ENDED, || async {
        let done = moves(platform, true)?;
        let left: Vec<_> = open.difference(&done).collect();
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    operators(access, 1).await
}

/// Moves that are done, or that are not.
fn moves(platform: &Platform, is_done: bool) -> Result<BTreeSet<String>> {
    let all = platform.ask(&["moves"], "")?;
    let all = all.as_array().context("no list")?;
    let wanted = all.iter().filter(|it| (it["phase"] == "done") == is_done);
    let id = |it: &serde_json::Value| it["id"].as_str().map(str::to_owned);
    wanted.map(|it| id(it).context("no id")).collect()
}

/// So many operators.
async fn operators(access: &Access, count: u8) -> Result<()> {
    let within = ["--namespace", OPERATOR];
    let replicas = format!("--replicas={count}");
    let scale = ["scale", "deployment/buzonera-operator", &replicas];
    access.kubectl(&[&within[..], &scale].concat())?;
    wait::until("as many operators", ENDED, || async {
        let pods = ["get", "pods", "--output", "name"];
        let found = access.kubectl(&[&within[..], &pods].concat())?.out;
        ensure!(found.lines().count() == usize::from(count), "{found}");
        Ok(())
    })
    .await
}
