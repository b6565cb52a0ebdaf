//! A MailCluster, kept by an operator in this process, whose pods run as plain processes.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use crds::{MailCluster, MailboxShard};
use e2e::kubernetes::Kubelet;
use e2e::kubernetes::platform::Condition;
use e2e::{binaries, say, wait};
use kit::admin::Admin;
use kit::lifecycle::Shutdown;
use kit::process::Process;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::support::Namespace;

/// From nothing to Ready, on a busy machine.
pub(crate) const READY: Duration = Duration::from_secs(180);

/// For a rollout to be called halted, and for Kubernetes to try once more after that: it waits twice
/// as long each time.
pub(crate) const ROLLED: Duration = Duration::from_secs(300);

/// The MailCluster of [`LEAST`].
pub(crate) const CLUSTER: &str = "mailcluster/example";

/// An operator.
pub(crate) struct Operator {
    shutdown: Shutdown,
    running: JoinHandle<Result<(), operator::Error>>,
}

impl Operator {
    /// One that watches a namespace.
    pub(crate) fn with(client: kube::Client, namespace: &str) -> Self {
        Self::of(client, config(namespace))
    }

    /// Likewise, and it moves accounts as soon as shards are uneven.
    pub(crate) fn hasty(namespace: &Namespace) -> Self {
        Self::hasty_with(namespace.client.clone(), &namespace.name)
    }

    /// Likewise, by a client that is there already.
    pub(crate) fn hasty_with(client: kube::Client, namespace: &str) -> Self {
        let config = operator::Config {
            rebalance_after: Duration::ZERO,
            ..config(namespace)
        };
        Self::of(client, config)
    }

    /// Likewise, and it calls a rollout halted soon.
    pub(crate) fn impatient(namespace: &Namespace) -> Self {
        Self::impatient_with(namespace.client.clone(), &namespace.name)
    }

    /// Likewise, by a client that is there already.
    pub(crate) fn impatient_with(client: kube::Client, namespace: &str) -> Self {
        let config = operator::Config {
            progress_deadline: Duration::from_secs(20),
            ..config(namespace)
        };
        Self::of(client, config)
    }

    fn of(client: kube::Client, config: operator::Config) -> Self {
        let shutdown = Shutdown::new(Duration::ZERO, Duration::ZERO);
        let process = Process {
            admin: Admin::default(),
            shutdown: shutdown.clone(),
        };
        let running = tokio::spawn(operator::run_with(client, config, process));
        Self { shutdown, running }
    }

    /// Ends it as `kill -9` would: between any two requests.
    pub(crate) fn kill(self) {
        self.running.abort();
    }

    /// Ends it in order.
    pub(crate) async fn stop(self) -> Result<()> {
        self.shutdown.trigger();
        Ok(self.running.await??)
    }
}

fn config(namespace: &str) -> operator::Config {
    operator::Config {
        watch_namespaces: vec![namespace.to_owned()],
        registry: String::new(),
        etcd_image: "etcd:v3.6.16".to_owned(),
        ..operator::Config::default()
    }
}

/// What runs a namespace's pods.
pub(crate) fn kubelet(namespace: &Namespace, net: u8, folder: &std::path::Path) -> Result<Kubelet> {
    let programs: PathBuf = binaries::folder(say::line)?;
    Kubelet::start(namespace.access(), &namespace.name, net, folder, &programs)
}

/// The least that a MailCluster of a test says: one etcd member, one of everything.
pub(crate) const LEAST: &str = "
apiVersion: buzonera.dev/v1alpha1
kind: MailCluster
metadata: {name: example}
spec:
  hostname: mail.example.org
  domains: [{name: example.org}]
  shards: 2
  shardDefaults: {storage: {size: 1Gi}}
  mx: {replicas: 1, storage: {size: 1Gi}}
  proxy: {replicas: 1}
  directory: {replicas: 1, store: {etcd: {replicas: 1, storage: {size: 1Gi}}}}
";

/// As `kubectl apply` does.
pub(crate) fn apply(namespace: &Namespace, text: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("objects.yaml");
    std::fs::write(&file, text)?;
    namespace.kubectl(&["apply", "--filename", &file.display().to_string()])?;
    Ok(())
}

/// The MailCluster `example`.
pub(crate) async fn cluster(namespace: &Namespace) -> Result<MailCluster> {
    let api: Api<MailCluster> = Api::namespaced(namespace.client.clone(), &namespace.name);
    Ok(api.get("example").await?)
}

/// Its MailboxShards.
pub(crate) async fn shards(namespace: &Namespace) -> Result<Vec<MailboxShard>> {
    let api: Api<MailboxShard> = Api::namespaced(namespace.client.clone(), &namespace.name);
    Ok(api.list(&ListParams::default()).await?.items)
}

/// Waits until all is well; should it not be, the pods' last words are shown.
pub(crate) async fn ready(namespace: &Namespace, kubelet: &Kubelet) -> Result<MailCluster> {
    let outcome = until(namespace, "Ready", "True", "Ready", READY).await;
    if outcome.is_err() {
        say::line(&kubelet.dump());
    }
    outcome
}

/// Waits until a condition of `example` is so: its status and reason.
pub(crate) async fn until(
    namespace: &Namespace,
    about: &str,
    status: &str,
    reason: &str,
    limit: Duration,
) -> Result<MailCluster> {
    let what = format!("{about} is {status}, {reason}");
    wait::until(&what, limit, || async {
        let found = cluster(namespace).await?;
        let conditions = found.status.iter().flat_map(|status| &status.conditions);
        let found_condition = conditions.clone().find(|it| it.type_ == about);
        let condition = found_condition.ok_or_else(|| anyhow!("{about} is not told yet"))?;
        let is = (condition.status.as_str(), condition.reason.as_str());
        let all: Vec<_> = conditions
            .map(|it| format!("{}={} {} {}", it.type_, it.status, it.reason, it.message))
            .collect();
        ensure!(is == (status, reason), "{}", all.join("; "));
        let generation = found.metadata.generation;
        let seen = found
            .status
            .as_ref()
            .and_then(|status| status.observed_generation);
        ensure!(
            seen == generation,
            "{} is of an older generation",
            found.name_any()
        );
        Ok(found)
    })
    .await
}

/// Waits until a condition of an object is so, and its message has these words.
pub(crate) async fn says(
    namespace: &Namespace,
    object: &str,
    (about, status, reason): (&str, &str, &str),
    words: &str,
) -> Result<()> {
    let what = format!("{object}: {about} is {status}, {reason}, and says {words:?}");
    wait::until(&what, ROLLED, || async {
        let said = namespace.kubectl(&["get", object, "--output=json"])?.out;
        let said: Value = serde_json::from_str(&said)?;
        let told = Condition::of(&said, about).with_context(|| said["status"].to_string())?;
        let text = told.to_string();
        let is_so = told.is(status) && told.reason() == reason && text.contains(words);
        ensure!(is_so, "{text}; {}", said["status"]["conditions"]);
        Ok(())
    })
    .await
}
