//! A person installs the chart, has mail, takes the chart away and brings it back, as the README and
//! the chart's notes say.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::kubernetes::nodes::Cluster;
use e2e::kubernetes::platform::{self, OPERATOR, RELEASE};
use e2e::kubernetes::{Access, Platform};
use e2e::{places, say, wait};
use tokio::time::sleep;

use super::mail::Mail;
use super::support::{boot, with_images};

const NAMESPACE: &str = "mail";

/// The operator, to the API server.
const USER: &str = "system:serviceaccount:buzonera-system:buzonera-operator";

/// How long nothing may be written. The variable asks for more.
const IDLE: Duration = Duration::from_secs(60);
const IDLE_VARIABLE: &str = "BUZONERA_IDLE_SECONDS";

/// For a shard to tell of its mail, and for a status to be written that changes in numbers only.
const TOLD: Duration = Duration::from_secs(150);

/// Longer than numbers in a status wait before they are written.
const SETTLED: Duration = Duration::from_secs(40);

/// For a change by hand to be seen.
const SEEN: Duration = Duration::from_secs(30);

/// For a namespace to go, with pods that drain, on a busy machine.
const GONE: Duration = Duration::from_secs(120);

#[cfg_attr(not(namespaces), ignore = "namespaces cannot be made here (root)")]
#[tokio::test(flavor = "multi_thread")]
async fn it_is_installed_used_taken_away_and_brought_back() {
    let cluster = with_images(boot(2).await.unwrap()).unwrap();
    let outcome = story(&cluster).await;
    if outcome.is_err() {
        say::line(&cluster.access().dump(NAMESPACE));
    }
    outcome.unwrap();
    cluster.end().await.unwrap();
}

async fn story(cluster: &Cluster) -> Result<()> {
    let access = cluster.access();
    access.kubectl(&["create", "namespace", NAMESPACE])?;
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    access.kubectl(&["label", "namespace", NAMESPACE, enforce])?;
    platform::install(access, NAMESPACE, &[])?;
    let mut mail = first(access).await?;
    is_quiet(cluster, &mail.platform).await?;
    is_guarded(&mail.platform)?;

    let pods = pods(&mail.platform)?;
    access.helm(&["uninstall", RELEASE, "--namespace", OPERATOR, "--wait"])?;
    access.kubectl(&["get", "crd", "mailclusters.buzonera.dev"])?;
    mail.goes_on()?;
    platform::install(access, NAMESPACE, &[])?;
    upgrade(access)?;
    mail.platform.ready(|_| ()).await?;
    mail.goes_on()?;
    let same = self::pods(&mail.platform)?;
    ensure!(pods == same, "other pods: {pods}, then {same}");

    goes(access).await
}

/// From nothing to a message that is read.
async fn first(access: &Access) -> Result<Mail> {
    let platform = Platform::of(access, NAMESPACE, "example");
    let example = places::workspace().join("charts/buzonera/examples/quickstart.yaml");
    platform.apply(&std::fs::read_to_string(example)?)?;
    platform.ready(|_| ()).await?;
    let smtp = node_port(&platform, "example-mx-0-0", 30025)?;
    let pop3s = node_port(&platform, "example-proxy-0", 30080)?;
    let mut mail = Mail::of(platform, smtp, pop3s)?;
    mail.goes_on()?;
    Ok(mail)
}

/// A port that is open on the node where a pod is.
fn node_port(platform: &Platform, pod: &str, port: u16) -> Result<SocketAddr> {
    let path = "jsonpath={.status.hostIP}";
    let node = platform.kubectl(&["get", "pod", pod, "--output", path])?;
    Ok(SocketAddr::new(node.trim().parse()?, port))
}

/// Nothing is written while nothing changes, also by another operator; a label that is taken away by
/// hand comes back by one write.
async fn is_quiet(cluster: &Cluster, platform: &Platform) -> Result<()> {
    let length = match std::env::var(IDLE_VARIABLE) {
        Ok(seconds) => Duration::from_secs(seconds.parse().context(IDLE_VARIABLE)?),
        Err(_) => IDLE,
    };
    wait::until("the account's mail is told of", TOLD, || async {
        let bytes = &platform.look()?["status"]["bytes"];
        ensure!(bytes.as_u64() > Some(0), "{bytes} octets");
        Ok(())
    })
    .await?;
    sleep(SETTLED).await;
    let before = cluster.writes(USER)?.len();
    sleep(length / 2).await;
    let operator = ["rollout", "restart", "deployment/buzonera-operator"];
    let within = ["--namespace", OPERATOR];
    cluster
        .access()
        .kubectl(&[&within[..], &operator].concat())?;
    let done = ["rollout", "status", "deployment/buzonera-operator"];
    cluster.access().kubectl(&[&within[..], &done].concat())?;
    sleep(length / 2).await;
    let since = cluster.writes(USER)?.split_off(before);
    ensure!(since.is_empty(), "{since:?}");

    let before = cluster.writes(USER)?.len();
    platform.kubectl(&[
        "label",
        "service",
        "example-mx-public",
        "buzonera.dev/tier-",
    ])?;
    wait::until("the label is back", SEEN, || async {
        let path = "jsonpath={.metadata.labels.buzonera\\.dev/tier}";
        let words = ["get", "service", "example-mx-public", "--output", path];
        ensure!(platform.kubectl(&words)? == "mx", "it is not");
        Ok(())
    })
    .await?;
    let writes = cluster.writes(USER)?.split_off(before);
    let ours = writes.iter().filter(|write| write.resource == "services");
    ensure!(ours.count() == 1, "{writes:?}");
    Ok(())
}

/// What holds mail is not deleted by a slip.
fn is_guarded(platform: &Platform) -> Result<()> {
    for what in ["mailcluster/example", "pvc/example-0", "secret/example-ca"] {
        let refused = platform.kubectl(&["delete", what, "--wait=false"]);
        let Err(refused) = refused else {
            anyhow::bail!("{what} was deleted");
        };
        let said = format!("{refused:#}");
        ensure!(said.contains("buzonera.dev/allow-delete=yes"), "{said}");
    }
    Ok(())
}

/// Another release of the chart; no pod of mail is any of its business.
fn upgrade(access: &Access) -> Result<()> {
    let chart = platform::chart();
    let words = ["upgrade", RELEASE, &chart, "--namespace", OPERATOR];
    let how = ["--reuse-values", "--set", "log=text", "--wait"];
    access.helm(&[&words[..], &how].concat())?;
    Ok(())
}

/// The uids of all pods.
fn pods(platform: &Platform) -> Result<String> {
    let path = "jsonpath={range .items[*]}{.metadata.name}={.metadata.uid} {end}";
    platform.kubectl(&["get", "pods", "--output", path])
}

/// A namespace goes with all that is in it, though the operator's rights go with it.
async fn goes(access: &Access) -> Result<()> {
    let began = Instant::now();
    access.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"])?;
    wait::until("the namespace is gone", GONE, || async {
        let words = ["get", "namespace", NAMESPACE, "--ignore-not-found"];
        let said = access.kubectl(&words)?.out;
        let pods = ["get", "pods", "--namespace", NAMESPACE, "--no-headers"];
        ensure!(said.is_empty(), "{}", access.kubectl(&pods)?.out);
        Ok(())
    })
    .await?;
    let seconds = began.elapsed().as_secs();
    say::line(&format!("a namespace with mail was gone after {seconds} s"));
    Ok(())
}
