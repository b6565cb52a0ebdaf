//! A changed template restarts one pod after the other, stops at the first that is broken, and no
//! pod restarts for a new operator.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::wait;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use tokio::task::JoinHandle;

use crate::platform::{LEAST, Operator, apply, cluster, kubelet, ready, until};
use crate::support::{Namespace, in_namespace};

/// For all shards to restart, on a busy machine.
const ROLLED: Duration = Duration::from_secs(300);

/// Between two looks at the pods.
const OFTEN: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn one_shard_restarts_after_the_other_and_none_for_a_new_operator() {
    in_namespace("rolled", async |namespace| {
        let folder = tempfile::tempdir()?;
        let kubelet = kubelet(namespace, 41, folder.path())?;
        let operator = Operator::with(namespace.client.clone(), &namespace.name);
        let before = LEAST.replace("shards: 2", "shards: 3");
        apply(namespace, &before)?;
        ready(namespace, &kubelet).await?;
        until(namespace, "UpToDate", "True", "AllCurrent", ROLLED).await?;
        let first = uids(namespace).await?;

        let away = Away::watch(namespace);
        let more = "shardDefaults: {pod: {resources: {requests: {cpu: 300m}}}, ";
        let after = before.replace("shardDefaults: {", more);
        apply(namespace, &after)?;
        until(namespace, "UpToDate", "False", "RollingOut", ROLLED).await?;
        until(namespace, "UpToDate", "True", "AllCurrent", ROLLED).await?;
        ensure!(away.most() == 1, "{} shards were away at once", away.most());
        let second = uids(namespace).await?;
        for (pod, uid) in &first {
            let is_shard = ["example-0-0", "example-1-0", "example-2-0"].contains(&pod.as_str());
            ensure!(
                is_shard == (second.get(pod) != Some(uid)),
                "{pod} {second:?}"
            );
        }

        operator.stop().await?;
        let operator = Operator::with(namespace.client.clone(), &namespace.name);
        // What it has seen it has compared with all that is there.
        let seen = "domains: [{name: example.org}, {name: example.net}]";
        let seen = after.replace("domains: [{name: example.org}]", seen);
        apply(namespace, &seen)?;
        until(namespace, "UpToDate", "True", "AllCurrent", ROLLED).await?;
        ensure!(
            uids(namespace).await? == second,
            "a new operator restarted a pod"
        );
        operator.stop().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_stops_at_the_first_that_is_broken_until_the_spec_is_mended() {
    in_namespace("halted", async |namespace| {
        let folder = tempfile::tempdir()?;
        let kubelet = kubelet(namespace, 42, folder.path())?;
        let operator = Operator::impatient(namespace);
        let good = LEAST.replace("directory: {replicas: 1", "directory: {replicas: 2");
        apply(namespace, &good)?;
        ready(namespace, &kubelet).await?;
        until(namespace, "UpToDate", "True", "AllCurrent", ROLLED).await?;
        let first = uids(namespace).await?;

        // A release of which there are no images.
        let bad = good.replace("hostname:", "version: 0.1.9\n  hostname:");
        apply(namespace, &bad)?;
        let expected = "example-directory-1: ErrImagePull: buzonera-directory:0.1.9: not found";
        wait::until("the image is called missing", ROLLED, || async {
            until(namespace, "UpToDate", "False", "RolloutHalted", ROLLED).await?;
            let told = cluster(namespace).await?.status.unwrap_or_default();
            let mut stalled = told.conditions.iter().filter(|it| it.type_ == "Stalled");
            let is_told = stalled.any(|it| it.message.contains(expected));
            ensure!(is_told, "{:?}", told.conditions);
            Result::<()>::Ok(())
        })
        .await?;
        // The etcd member was before it; nothing was after it.
        let halted = uids(namespace).await?;
        for (pod, uid) in &first {
            let is_new = ["example-etcd-0-0", "example-directory-1"].contains(&pod.as_str());
            ensure!(is_new == (halted.get(pod) != Some(uid)), "{pod} {halted:?}");
        }

        let mended = good.replace("hostname:", "version: 0.1.0\n  hostname:");
        apply(namespace, &mended)?;
        until(namespace, "UpToDate", "True", "AllCurrent", ROLLED).await?;
        ready(namespace, &kubelet).await?;
        operator.stop().await
    })
    .await;
}

/// Every pod's name and uid.
async fn uids(namespace: &Namespace) -> Result<BTreeMap<String, Option<String>>> {
    let pods: Api<Pod> = Api::namespaced(namespace.client.clone(), &namespace.name);
    let found = pods.list(&ListParams::default()).await?;
    Ok(found
        .iter()
        .map(|pod| (pod.name_any(), pod.uid()))
        .collect())
}

/// Looks all the time at how many of three shards are away.
struct Away {
    most: Arc<AtomicUsize>,
    looking: JoinHandle<()>,
}

impl Away {
    fn watch(namespace: &Namespace) -> Self {
        let pods: Api<Pod> = Api::namespaced(namespace.client.clone(), &namespace.name);
        let most = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&most);
        let looking = tokio::spawn(async move {
            let shards = ListParams::default().labels("buzonera.dev/tier=storage");
            loop {
                if let Ok(found) = pods.list(&shards).await {
                    let ready = found.iter().filter(|pod| is_ready(pod)).count();
                    told.fetch_max(3_usize.saturating_sub(ready), Ordering::Relaxed);
                }
                tokio::time::sleep(OFTEN).await;
            }
        });
        Self { most, looking }
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|it| it.type_ == "Ready");
    ready.any(|it| it.status == "True")
}
