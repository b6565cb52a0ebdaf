//! A Kubernetes with two nodes for all tests that leave it as it is, and pods there.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use e2e::kubernetes::nodes::{Cluster, FOLDER, pod_image};
use e2e::kubernetes::{Access, platform};
use e2e::{say, wait};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::support::{Namespace, PATIENCE, in_namespace_of};

/// Does what is to be tested in a namespace of that name; should it fail, objects and logs are shown.
pub(super) async fn on_nodes(
    name: &str,
    work: impl AsyncFnOnce(&Namespace, &Cluster) -> Result<()>,
) {
    let cluster = shared().await;
    in_namespace_of(cluster.access(), name, async |namespace| {
        work(namespace, cluster).await
    })
    .await;
}

/// Likewise, and an operator, which the chart has installed, keeps what is there.
pub(super) async fn on_platform(name: &str, work: impl AsyncFnOnce(&Access) -> Result<()>) {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let access = shared().await.access();
    let install = || async { platform::install(access, "*", &[]) };
    INSTALLED.get_or_try_init(install).await.unwrap();
    in_namespace_of(access, name, async |_| work(access).await).await;
}

async fn shared() -> &'static Cluster {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    SHARED.get_or_try_init(start).await.unwrap()
}

/// Boots one with so many nodes, in a folder that goes with it.
pub(super) async fn boot(nodes: u8) -> Result<Cluster> {
    boot_in(tempfile::tempdir()?.keep(), nodes).await
}

async fn boot_in(folder: PathBuf, nodes: u8) -> Result<Cluster> {
    let program = Path::new(env!("CARGO_BIN_EXE_e2e"));
    Cluster::boot(program, &folder, nodes, say::line).await
}

/// With Buzonera's images. It ends with this program, whatever ends that.
async fn start() -> Result<Cluster> {
    let folder = match std::env::var_os(FOLDER) {
        Some(folder) => folder.into(),
        None => tempfile::tempdir()?.keep(),
    };
    with_images(boot_in(folder, 2).await?)
}

/// Brings Buzonera's images to its nodes.
pub(super) fn with_images(cluster: Cluster) -> Result<Cluster> {
    let missing = cluster.load_platform()?;
    ensure!(missing.is_empty(), "not built: {missing:?}");
    Ok(cluster)
}

/// A pod on a node; it may be changed before it is made.
pub(super) fn pod(name: &str, node: &str, image: &str, words: &[&str]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "securityContext": {
                "runAsNonRoot": true,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": name,
                "image": image,
                "imagePullPolicy": "Never",
                "args": words,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}

/// A pod that does one of the small works for tests.
pub(super) fn worker(name: &str, node: &str, words: &[&str]) -> Value {
    pod(name, node, &pod_image(), words)
}

/// Makes it.
pub(super) async fn make(namespace: &Namespace, pod: Value) -> Result<()> {
    let pod = serde_json::from_value(pod)?;
    pods(namespace).create(&PostParams::default(), &pod).await?;
    Ok(())
}

/// Makes it and waits until it is done; what it printed. Then it is gone.
pub(super) async fn done(namespace: &Namespace, pod: Value) -> Result<String> {
    let name = pod["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    make(namespace, pod).await?;
    wait::until(&format!("{name} is done"), PATIENCE, || async {
        let phase = phase(namespace, &name).await?;
        ensure!(phase == "Succeeded", "it is {phase}");
        Ok(())
    })
    .await?;
    let said = namespace.kubectl(&["logs", &name])?.out;
    let pods = pods(namespace);
    pods.delete(&name, &DeleteParams::default()).await?;
    wait::until(&format!("{name} is gone"), PATIENCE, || async {
        ensure!(pods.get_opt(&name).await?.is_none(), "it is there");
        Ok(())
    })
    .await?;
    Ok(said)
}

pub(super) fn pods(namespace: &Namespace) -> Api<Pod> {
    Api::namespaced(namespace.client.clone(), &namespace.name)
}

async fn phase(namespace: &Namespace, pod: &str) -> Result<String> {
    let status = pods(namespace).get(pod).await?.status.unwrap_or_default();
    Ok(status.phase.unwrap_or_default())
}
