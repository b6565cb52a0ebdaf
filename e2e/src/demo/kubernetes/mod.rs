//! A Kubernetes with two nodes, the chart, a MailCluster; mail at a steady rate while it is scaled to
//! three shards and back by editing its spec; then every mailbox is read and counted. It stays.

mod logins;
mod open_moves;
mod report;
mod scaling;

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};

use super::population::Population;
use super::steps::{Step, step};
use super::traffic::Traffic;
use super::{DemoArgs, calm, end, fresh, reading};
use crate::kubernetes::nodes::{self, Cluster};
use crate::kubernetes::{Access, Platform, platform};
use crate::real::{Reader, Sender};
use crate::{images, say};
use logins::Logins;
use open_moves::OpenMoves;
pub use report::Report;

/// Two, so that a move goes from one to the other.
const NODES: u8 = 2;

/// Messages a second, unless told otherwise.
const RATE: u32 = 40;

/// Where the MailCluster is.
const NAMESPACE: &str = "mail";
const NAME: &str = "example";

/// A MailCluster of two shards, on which moves can be watched.
pub const CLUSTER: &str = include_str!("cluster.yaml");

/// How much there is to do while it is scaled.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Accounts.
    pub accounts: u32,
    /// Messages a second.
    pub rate: u32,
    /// Seconds of mail before, between and after the moves.
    pub calm: u64,
}

/// Plays it; true when nothing was lost, doubled or refused, and accounts moved while mail came.
pub(super) async fn play(args: DemoArgs) -> Result<bool> {
    let (sender, reader) = (Sender::found()?, Reader::found()?);
    let folder = fresh(args.folder.clone())?;
    nodes::provide(args.yes)?;
    images::build(images::TAG, args.yes)?;
    let began = Instant::now();
    let load = Load {
        accounts: args.accounts,
        rate: args.rate.unwrap_or(RATE),
        calm: args.calm,
    };
    say::line(&format!(
        "\n{} accounts; {} messages a second, sent with {}, read with {} over TLS.\n",
        load.accounts,
        load.rate,
        sender.name(),
        reader.name()
    ));
    let cluster = boot().await?;
    let access = cluster.access().clone();
    let played = on(&access, load, &folder).await;
    // Also when it failed: whoever looks for the reason needs it.
    cluster.stay()?;
    let report = match played {
        Ok(report) => report,
        Err(error) => {
            nodes::look_around(&access);
            return Err(error);
        }
    };
    report.show(began.elapsed());
    how_to_go_on(&access);
    Ok(report.is_good())
}

async fn boot() -> Result<Cluster> {
    let what = format!("start Kubernetes with {NODES} nodes");
    let cluster = step(&what, async |step: &Step| {
        nodes::begin(NODES, |line| step.is(line)).await
    })
    .await?;
    step("bring Buzonera's images to the nodes", async |_: &Step| {
        let missing = cluster.load_platform()?;
        match missing.is_empty() {
            true => Ok(()),
            false => bail!("these images are not there: {}", missing.join(", ")),
        }
    })
    .await?;
    Ok(cluster)
}

async fn on(access: &Access, load: Load, folder: &Path) -> Result<Report> {
    step("install the chart", async |_: &Step| {
        access.kubectl(&["create", "namespace", NAMESPACE])?;
        platform::install(access, NAMESPACE, &[])
    })
    .await?;
    let platform = Platform::of(access, NAMESPACE, NAME);
    step("apply a MailCluster of 2 shards", async |step: &Step| {
        platform.apply(CLUSTER)?;
        platform.ready(|state| step.is(state)).await
    })
    .await?;
    scale(&platform, load, folder).await
}

/// Scales a MailCluster of two shards to three and back while mail flows, then reads it all. Real
/// clients send and read; `folder` is theirs.
pub async fn scale(platform: &Platform, load: Load, folder: &Path) -> Result<Report> {
    let (sender, reader) = (Sender::found()?, Reader::found()?);
    let population = Population::of(load.accounts);
    step("add the accounts", async |_: &Step| {
        population.join(platform)
    })
    .await?;
    let pop3s = platform.pop3s(folder).await?;
    let smtp = platform.address("mx-public", 25).await?;

    let logins = Logins::start(&pop3s, &population, folder)?;
    let traffic = Traffic::start(sender, smtp, load.rate, &population);
    let mut moves = OpenMoves::default();
    calm(&traffic, load.calm).await?;
    let up = step("edit spec.shards: 3", async |step: &Step| {
        scaling::up(step, platform, &mut moves).await
    })
    .await?;
    calm(&traffic, load.calm).await?;
    let down = step("edit spec.shards: 2", async |step: &Step| {
        scaling::down(step, platform, &mut moves).await
    })
    .await?;
    calm(&traffic, load.calm).await?;
    let sent = end(traffic).await?;
    let logins = logins.finish()?;
    let overlapped = moves.overlapped(&sent.accepted);
    let verdict = step("read every mailbox", async |step: &Step| {
        reading::all(step, reader, &pop3s, folder, &population, sent.ledger)
    })
    .await?;
    Ok(Report {
        verdict,
        unknown: sent.unknown,
        up,
        down,
        overlapped,
        logins,
    })
}

/// Commands that work as pasted.
fn how_to_go_on(access: &Access) {
    say::line("");
    nodes::look_around(access);
    for line in [
        "kubectl get mailclusters,mailboxshards,pods --namespace mail",
        "kubectl describe mailcluster example --namespace mail",
        "kubectl exec --namespace mail example-directory-0 -- buzonera status",
        "kubectl exec --namespace mail example-directory-0 -- buzonera moves",
        "kubectl scale mailcluster example --namespace mail --replicas=3",
    ] {
        say::line(&format!("  {line}"));
    }
}
