//! A node is lost, with half of everything on it: whoever has no mail there goes on, what keeps nothing
//! is replaced, and an Event says what to type for the rest, which then comes back whole.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::kubernetes::nodes::Cluster;
use e2e::kubernetes::platform::{self, Condition, OPERATOR};
use e2e::kubernetes::{Access, Platform};
use e2e::{say, wait};

use super::mail::Mail;
use super::support::{boot, with_images};
use crate::support::PATIENCE;

const NAMESPACE: &str = "lost";
/// The first node is Kubernetes' own too, and etcd's.
const STAYS: u8 = 1;
const LOST: u8 = 2;

const SPREAD: &str = include_str!("spread.yaml");

/// For a node to be missed, for its pods to have had their time to end, and for others to be made.
const MISSED: Duration = Duration::from_secs(300);

#[cfg_attr(not(namespaces), ignore = "namespaces cannot be made here (root)")]
#[tokio::test(flavor = "multi_thread")]
async fn only_those_notice_whose_mail_is_on_it_and_an_event_says_what_to_type() {
    let mut cluster = with_images(boot(2).await.unwrap()).unwrap();
    let outcome = story(&mut cluster).await;
    if outcome.is_err() {
        say::line(&cluster.access().dump(NAMESPACE));
    }
    outcome.unwrap();
    cluster.end().await.unwrap();
}

async fn story(cluster: &mut Cluster) -> Result<()> {
    let access = cluster.access().clone();
    access.kubectl(&["create", "namespace", NAMESPACE])?;
    platform::install(&access, NAMESPACE, &["--set", "lostAfter=5s"])?;
    let mail = Mail::made(&access, NAMESPACE, SPREAD).await?;
    keep_operator(&access)?;
    let mut there = mail.of_another("there@example.org", &shard_on(&mail.platform, LOST)?)?;
    let mut near = mail.of_another("near@example.org", &shard_on(&mail.platform, STAYS)?)?;
    there.goes_on()?;
    near.goes_on()?;

    let lost = Instant::now();
    cluster.lose(&name(LOST))?;
    goes_on(&mut near, lost).await?;
    let command = told(&mail.platform, &there).await?;
    near.goes_on()?;
    let reply = there.offer_to_itself().await?;
    ensure!(reply.is_positive(), "{reply:?}");
    replaced(&mail.platform, LOST).await?;

    let words: Vec<_> = command.split(' ').skip(1).collect();
    access.kubectl(&words)?;
    mail.platform.ready(|_| ()).await?;
    say::line(&format!("all serve after {} s", lost.elapsed().as_secs()));
    wait::until("all is delivered, and read", PATIENCE, || async {
        there.is_read()
    })
    .await?;
    near.goes_on()?;
    comes_back(cluster, &access, LOST).await?;
    mail.platform.ready(|_| ()).await?;
    there.goes_on()?;
    near.goes_on()
}

fn name(node: u8) -> String {
    format!("node-{node}")
}

/// A tier's pods on a node.
fn on(platform: &Platform, tier: &str, node: u8) -> Result<Vec<String>> {
    let tier = format!("buzonera.dev/tier={tier}");
    let there = format!("spec.nodeName={}", name(node));
    let which = ["--selector", &tier, "--field-selector", &there];
    let said = platform.kubectl(&[&["get", "pods", "--output=name"], &which[..]].concat())?;
    let pods = said.lines().filter_map(|line| line.strip_prefix("pod/"));
    Ok(pods.map(str::to_owned).collect())
}

/// A shard that has its pod there.
fn shard_on(platform: &Platform, node: u8) -> Result<String> {
    let pods = on(platform, "storage", node)?;
    let pod = pods.first().context("shards are not spread over nodes")?;
    let shard = pod.strip_suffix("-0").context("no shard's pod")?;
    Ok(shard.to_owned())
}

/// Another would be made elsewhere, which is not what is to be shown.
fn keep_operator(access: &Access) -> Result<()> {
    let other = name(STAYS);
    let patch = format!(
        r#"{{"spec": {{"template": {{"spec": {{"nodeSelector": {{"kubernetes.io/hostname": "{other}"}}}}}}}}}}"#
    );
    let within = ["--namespace", OPERATOR];
    let deployment = "deployment/buzonera-operator";
    access.kubectl(&[&within[..], &["patch", deployment, "--patch", &patch]].concat())?;
    access.kubectl(&[&within[..], &["rollout", "status", deployment]].concat())?;
    Ok(())
}

/// Mail for somebody whose shard is elsewhere is taken and read again, as soon as the way in leads to
/// those that are left.
async fn goes_on(near: &mut Mail, lost: Instant) -> Result<()> {
    let near = tokio::sync::Mutex::new(near);
    wait::until("a message is taken again", MISSED, || async {
        let reply = near.lock().await.offer_to_itself().await?;
        ensure!(reply.is_positive(), "{reply:?}");
        Ok(())
    })
    .await?;
    say::line(&format!("taken again after {} s", lost.elapsed().as_secs()));
    wait::until("it is read", MISSED, || async {
        near.lock().await.is_read()
    })
    .await?;
    say::line(&format!("read again after {} s", lost.elapsed().as_secs()));
    Ok(())
}

/// The command of the Event about the pods that keep something; who has mail there is not told that
/// the password is wrong.
async fn told(platform: &Platform, there: &Mail) -> Result<String> {
    let path = "jsonpath={range .items[*]}{.message}{\"\\n\"}{end}";
    let words = [
        "get",
        "events",
        "--field-selector",
        "reason=NodeLost",
        "--output",
        path,
    ];
    let command = wait::until("an Event says what to type", MISSED, || async {
        let said = platform.kubectl(&words)?;
        let command = said
            .split('`')
            .find(|part| part.starts_with("kubectl taint "));
        command.map(str::to_owned).context(said.clone())
    })
    .await?;
    let stalled = Condition::of(&platform.look()?, "Stalled")?;
    ensure!(stalled.reason() == "NodeLost", "{stalled}");
    if let Err(refused) = there.login().await {
        let said = format!("{refused:#}");
        ensure!(said.contains("[SYS/TEMP]"), "{said}");
    }
    Ok(command)
}

/// Directory and proxy are whole again, on what is left.
async fn replaced(platform: &Platform, node: u8) -> Result<()> {
    wait::until("others are made", MISSED, || async {
        for tier in ["directory", "proxy"] {
            let left = on(platform, tier, node)?;
            ensure!(left.is_empty(), "{left:?}");
            let path = "jsonpath={.status.readyReplicas}";
            let set = format!("statefulset/example-{tier}");
            let ready = platform.kubectl(&["get", &set, "--output", path])?;
            ensure!(ready == "2", "{tier}: {ready} are ready");
        }
        Ok(())
    })
    .await
}

async fn comes_back(cluster: &mut Cluster, access: &Access, node: u8) -> Result<()> {
    cluster.again(node)?;
    let node = name(node);
    let taint = "node.kubernetes.io/out-of-service-";
    access.kubectl(&["taint", "node", &node, taint])?;
    let ready = [
        "wait",
        "--for=condition=Ready",
        "--timeout=180s",
        "node",
        &node,
    ];
    access.kubectl(&ready).map(drop)
}
