//! An operator whose watches show it what was once so makes nothing twice, takes nothing away, and
//! goes on as soon as it is shown what is.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use crds::mailbox_shard::ShardState;
use crds::{MailCluster, MailboxShard};
use e2e::kubernetes::Kubelet;
use e2e::wait;
use kube::ResourceExt as _;
use serde_json::Value;
use tokio::time::sleep;

use crate::people::buzonera;
use crate::platform::{LEAST, Operator, READY, apply, cluster, kubelet, ready, shards, until};
use crate::support::{Namespace, in_namespace};
use crate::two_clusters::made;
use crate::watches::Watches;
use crate::writes::Writes;

/// Longer than a shard waits that was to be changed by what is old.
const LOOKED: Duration = Duration::from_secs(15);

/// The shard that goes first.
const LAST: &str = "example-2";

/// Between two looks at what must not happen.
const OFTEN: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread")]
async fn what_it_does_not_see_is_not_made_again() {
    in_namespace("unseen", async |namespace| {
        let folder = tempfile::tempdir()?;
        let kubelet = kubelet(namespace, 45, folder.path())?;
        let first = Operator::with(namespace.client.clone(), &namespace.name);
        apply(namespace, LEAST)?;
        ready(namespace, &kubelet).await?;
        until(namespace, "UpToDate", "True", "AllCurrent", READY).await?;
        first.stop().await?;
        let before = content(namespace)?;

        // Another one sees the MailCluster, and nothing that was made for it.
        let (watches, writes) = (Watches::only("mailclusters"), Writes::default());
        let client = writes.behind(namespace, &watches).await?;
        let blind = Operator::with(client, &namespace.name);
        until(namespace, "Ready", "False", "DirectoryUnavailable", READY).await?;
        looks_again(namespace)?;
        sleep(LOOKED).await;
        let told = cluster(namespace).await?.status.unwrap_or_default();
        let mut stalled = told.conditions.iter().filter(|it| it.type_ == "Stalled");
        ensure!(stalled.next().is_none(), "{:?}", told.conditions);
        watches.go_on();
        ready(namespace, &kubelet).await?;
        looks_again(namespace)?;
        sleep(LOOKED).await;
        blind.stop().await?;
        let noted = writes.noted();
        let others = noted.iter().filter(|it| !it.ends_with("/status"));
        let others: Vec<_> = others.collect();
        ensure!(others.is_empty(), "{others:?}");
        ensure!(content(namespace)? == before, "something is another");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_wanted_again_does_not_retire() {
    in_namespace("wanted-again", async |namespace| {
        let folder = tempfile::tempdir()?;
        let kubelet = kubelet(namespace, 46, folder.path())?;
        let watches = Watches::new();
        let client = Writes::default().behind(namespace, &watches).await?;
        let operator = Operator::with(client, &namespace.name);
        apply(namespace, &LEAST.replace("shards: 2", "shards: 3"))?;
        ready(namespace, &kubelet).await?;
        mode(namespace, LAST, "Drained")?;
        is(namespace, LAST, ShardState::Empty).await?;

        // It is shown that the shard is too much, and not that it is wanted again.
        let pause = |how: &str| namespace.kubectl(&["annotate", "mailcluster", "example", how]);
        pause("buzonera.dev/pause=true")?;
        scale(namespace, 2)?;
        until(namespace, "Paused", "True", "Annotated", READY).await?;
        watches.hold("mailclusters", |event| !is_paused(event));
        pause("buzonera.dev/pause-")?;
        scale(namespace, 3)?;
        watches.hold("mailclusters", |event| {
            event["object"]["spec"]["shards"] == 3
        });
        sleep(LOOKED).await;
        let phase = phase(namespace, &kubelet, LAST).await?;
        ensure!(phase == "draining", "{LAST} is {phase}");
        watches.go_on();
        mode(namespace, LAST, "Active")?;
        is(namespace, LAST, ShardState::Active).await?;
        ready(namespace, &kubelet).await?;
        operator.stop().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_for_a_cluster_that_is_gone() {
    in_namespace("gone", async |namespace| {
        let folder = tempfile::tempdir()?;
        let kubelet = kubelet(namespace, 47, folder.path())?;
        let (watches, writes) = (Watches::new(), Writes::default());
        let client = writes.behind(namespace, &watches).await?;
        let operator = Operator::with(client, &namespace.name);
        apply(namespace, LEAST)?;
        let first = ready(namespace, &kubelet).await?;
        until(namespace, "UpToDate", "True", "AllCurrent", READY).await?;

        // That it goes is not shown, nor that there is another one of its name.
        watches.hold("mailclusters", is_going);
        delete(namespace, "foreground")?;
        apply(namespace, LEAST)?;
        let uid = cluster(namespace).await?.uid();
        let strange = || {
            let owners = owners(namespace)?;
            let mut others = owners.into_iter().filter(|it| Some(&it.1) != uid.as_ref());
            let strange = others.next();
            ensure!(strange.is_none(), "{strange:?} is of no MailCluster");
            Ok(())
        };
        wait::until("what went with it is gone", READY, || async { strange() }).await?;
        let end = Instant::now() + LOOKED;
        while Instant::now() < end {
            strange()?;
            sleep(OFTEN).await;
        }
        watches.go_on();
        let second = ready(namespace, &kubelet).await?;
        ensure!(first.uid() != second.uid(), "it was not deleted");
        let id = |cluster: MailCluster| cluster.status.and_then(|status| status.cluster_id);
        ensure!(id(first) == id(second), "it is another one inside too");
        operator.stop().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_is_not_let_go_while_its_cluster_is_there() {
    in_namespace("not-let-go", async |namespace| {
        let folder = tempfile::tempdir()?;
        let kubelet = kubelet(namespace, 48, folder.path())?;
        let watches = Watches::new();
        let client = Writes::default().behind(namespace, &watches).await?;
        let operator = Operator::with(client, &namespace.name);
        apply(namespace, LEAST)?;
        ready(namespace, &kubelet).await?;

        // It is shown that the MailCluster goes, and not that there is another one of its name.
        let uid = cluster(namespace).await?.uid();
        let is_another =
            move |event: &Value| event["object"]["metadata"]["uid"].as_str() != uid.as_deref();
        watches.hold("mailclusters", is_another);
        delete(namespace, "background")?;
        apply(namespace, LEAST)?;
        namespace.kubectl(&["delete", "mbs", "example-1", "--wait=false"])?;
        sleep(LOOKED).await;
        let there = shards(namespace).await?;
        let kept = there.iter().find(|shard| shard.name_any() == "example-1");
        let is_going = |shard: &MailboxShard| shard.metadata.deletion_timestamp.is_some();
        ensure!(kept.is_some_and(is_going), "it was let go");
        watches.go_on();
        wait::until("another shard in its place", READY, || async {
            let found = shards(namespace).await?;
            let names: Vec<_> = found.iter().map(|shard| shard.name_any()).collect();
            ensure!(names == ["example-0", "example-2"], "{names:?}");
            Result::<()>::Ok(())
        })
        .await?;
        ready(namespace, &kubelet).await?;
        let phase = phase(namespace, &kubelet, "example-1").await?;
        ensure!(phase == "retired", "example-1 is {phase}");
        operator.stop().await
    })
    .await;
}

fn is_paused(event: &Value) -> bool {
    event["object"]["metadata"]["annotations"]["buzonera.dev/pause"] == "true"
}

fn is_going(event: &Value) -> bool {
    !event["object"]["metadata"]["deletionTimestamp"].is_null()
}

/// Gives whoever follows MailClusters a reason to look.
fn looks_again(namespace: &Namespace) -> Result<()> {
    let now = format!("example.org/now={:?}", Instant::now());
    let now: String = now.chars().filter(|it| !it.is_whitespace()).collect();
    namespace.kubectl(&["annotate", "--overwrite", "mailcluster", "example", &now])?;
    Ok(())
}

fn scale(namespace: &Namespace, shards: u32) -> Result<()> {
    let replicas = format!("--replicas={shards}");
    namespace.kubectl(&["scale", "mailcluster", "example", &replicas])?;
    Ok(())
}

fn delete(namespace: &Namespace, how: &str) -> Result<()> {
    let how = format!("--cascade={how}");
    let words = ["delete", "mailcluster", "example", &how, "--timeout=90s"];
    namespace.kubectl(&words)?;
    Ok(())
}

fn mode(namespace: &Namespace, shard: &str, mode: &str) -> Result<()> {
    let patch = format!(r#"{{"spec": {{"mode": "{mode}"}}}}"#);
    namespace.kubectl(&["patch", "mbs", shard, "--type=merge", "--patch", &patch])?;
    Ok(())
}

async fn is(namespace: &Namespace, name: &str, wanted: ShardState) -> Result<()> {
    wait::until(&format!("{name} is {wanted:?}"), READY, || async {
        let found = shards(namespace).await?;
        let shard = found.iter().find(|shard| shard.name_any() == name);
        let state = shard.and_then(|shard| shard.status.as_ref()?.state);
        ensure!(state == Some(wanted), "{state:?}");
        Ok(())
    })
    .await
}

/// What a shard is to the directory.
async fn phase(namespace: &Namespace, kubelet: &Kubelet, name: &str) -> Result<String> {
    let known = buzonera(namespace, kubelet, &["shards"], "").await?;
    let known = known.as_array().context("no list")?.iter();
    let mut found = known.filter(|shard| shard["name"] == name);
    let found = found.next().context("the directory does not know it")?;
    Ok(found["phase"].as_str().unwrap_or_default().to_owned())
}

/// Every object, and the version of those that only an operator writes.
fn content(namespace: &Namespace) -> Result<BTreeMap<String, String>> {
    let mut content = made(namespace, "example")?;
    for kind in ["secrets", "configmaps", "services"] {
        let versions = r#"jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.resourceVersion}{"\n"}{end}"#;
        let label = "--selector=buzonera.dev/cluster=example";
        let said = namespace.kubectl(&["get", kind, label, "--output", versions])?;
        let lines = said.out.lines().filter_map(|line| line.rsplit_once(' '));
        content.extend(
            lines.map(|(name, version)| (format!("version of {name}"), version.to_owned())),
        );
    }
    Ok(content)
}

/// Whatever has an owner, and its uid.
fn owners(namespace: &Namespace) -> Result<Vec<(String, String)>> {
    let kinds = "secrets,configmaps,services,statefulsets,poddisruptionbudgets";
    let owners = r#"jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.ownerReferences[0].uid}{"\n"}{end}"#;
    let label = "--selector=buzonera.dev/cluster=example";
    let said = namespace.kubectl(&["get", kinds, label, "--output", owners])?;
    let pairs = said.out.lines().filter_map(|line| line.rsplit_once(' '));
    let owned = pairs.filter(|(_, owner)| !owner.is_empty());
    Ok(owned
        .map(|(name, owner)| (name.to_owned(), owner.to_owned()))
        .collect())
}
