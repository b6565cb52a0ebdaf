//! What the operator makes, as its golden files have it, is taken by a real API server without a
//! warning, kept to the letter, and makes pods where nothing but harmless ones may run.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use e2e::{places, wait};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::Value;

use crate::support::{Namespace, PATIENCE, in_namespace};

/// The MailCluster's uid in the golden files.
const UID: &str = "6a0c8a3e-1111-4222-8333-444444444444";

/// The namespace in them.
const NAMESPACE: &str = "mail";

#[tokio::test]
async fn what_is_made_is_taken_and_kept_as_it_is() {
    in_namespace(NAMESPACE, async |namespace| {
        let restricted = "pod-security.kubernetes.io/enforce=restricted";
        namespace.kubectl(&["label", "namespace", NAMESPACE, restricted])?;
        for class in ["mail", "edge", "archive"] {
            namespace.kubectl(&["create", "priorityclass", class, "--value=1"])?;
        }
        for (cluster, pods) in [("least", 10), ("full", 13)] {
            let uid = create(namespace, cluster)?;
            for tier in ["etcd", "directory", "storage", "proxy", "mx"] {
                apply(namespace, &format!("{cluster}-{tier}.yaml"), &uid)?;
            }
            run(namespace, cluster, pods).await?;
        }
        Ok(())
    })
    .await;
}

fn golden() -> PathBuf {
    places::workspace().join("operator/tests/golden")
}

/// The MailCluster, so that nothing is collected as nobody's. Its uid.
fn create(namespace: &Namespace, cluster: &str) -> Result<String> {
    let file = golden().join(format!("{cluster}.yaml"));
    let file = file.to_str().context("a path in UTF-8")?;
    let uid = ["--output=jsonpath={.metadata.uid}"];
    let said = namespace.kubectl(&[&["create", "--filename", file], &uid[..]].concat())?;
    Ok(said.out)
}

/// Applies a golden file twice, and looks at what is kept.
fn apply(namespace: &Namespace, file: &str, uid: &str) -> Result<()> {
    let text = std::fs::read_to_string(golden().join("0.1").join(file))?;
    let text = text.replace(UID, uid);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(file);
    std::fs::write(&path, &text)?;
    let path = path.to_str().context("a path in UTF-8")?;
    let apply = [
        "apply",
        "--server-side",
        "--field-manager=buzonera-operator",
        "--filename",
        path,
    ];
    let said = namespace.kubectl(&apply)?;
    // kubectl also says there that it had to wait, on a busy machine.
    let warned = said.err.lines().any(|line| line.starts_with("Warning"));
    ensure!(!warned, "{file}: {}", said.err);
    let first = kept(namespace, path)?;
    let sent: Vec<Value> = text
        .split("---\n")
        .map(serde_saphyr::from_str)
        .collect::<Result<_, _>>()?;
    ensure!(first.len() == sent.len(), "{file}: {} kept", first.len());
    for (sent, kept) in sent.iter().zip(&first) {
        let mut changed = Vec::new();
        compare(sent, kept, "", &mut changed);
        let name = &sent["metadata"]["name"];
        ensure!(changed.is_empty(), "{file}: {name}: {changed:?}");
    }
    namespace.kubectl(&apply)?;
    let specs = |objects: &[Value]| {
        let generations = objects
            .iter()
            .map(|object| object["metadata"]["generation"].clone());
        generations.collect::<Vec<_>>()
    };
    ensure!(
        specs(&kept(namespace, path)?) == specs(&first),
        "{file} changed when applied again"
    );
    Ok(())
}

fn kept(namespace: &Namespace, path: &str) -> Result<Vec<Value>> {
    let said = namespace.kubectl(&["get", "--filename", path, "--output=json"])?;
    let list: Value = serde_json::from_str(&said.out)?;
    let items = list["items"].as_array().context("a list")?;
    Ok(items.clone())
}

/// What was sent and is not kept as it was; what Kubernetes added is its own.
fn compare(sent: &Value, kept: &Value, path: &str, changed: &mut Vec<String>) {
    match (sent, kept) {
        (Value::Object(sent), Value::Object(_)) => {
            for (key, sent) in sent {
                compare(sent, &kept[key], &format!("{path}.{key}"), changed);
            }
        }
        (Value::Array(sent), Value::Array(items)) if sent.len() == items.len() => {
            for (index, (sent, kept)) in sent.iter().zip(items).enumerate() {
                compare(sent, kept, &format!("{path}[{index}]"), changed);
            }
        }
        (sent, kept) if sent == kept => {}
        (sent, kept) => changed.push(format!("{path}: {sent} became {kept}")),
    }
}

/// Waits until Kubernetes has made all pods, which it does only when nothing forbids them.
async fn run(namespace: &Namespace, cluster: &str, count: usize) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(namespace.client.clone(), NAMESPACE);
    let ours = ListParams::default().labels(&format!("buzonera.dev/cluster={cluster}"));
    wait::until("all pods are there", PATIENCE, || async {
        let found = pods.list(&ours).await?.items;
        ensure!(found.len() == count, "{} of {count}", found.len());
        Result::<()>::Ok(())
    })
    .await
}
