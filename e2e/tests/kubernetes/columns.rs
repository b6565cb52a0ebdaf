//! What `kubectl get` and `kubectl scale` show and do.

use anyhow::{Result, ensure};
use crds::{MailCluster, MailboxShard};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::{Namespace, in_namespace};

#[tokio::test]
async fn kubectl_shows_clusters_and_shards() {
    in_namespace("columns", async |namespace| {
        make(namespace).await?;
        let row = ["example", "2/2", "240", "36", "0.1.0", "True", "Ready"];
        let header = "NAME SHARDS ACCOUNTS MOVES VERSION READY REASON AGE";
        shows(namespace, &["mc"], header, &row)?;
        let row = ["example-7", "Active", "60", "4", "1", "2", "True"];
        let header = "NAME STATE ACCOUNTS USED IN OUT SERVING AGE";
        shows(namespace, &["mbs"], header, &row)?;
        let row = [
            "example-7",
            "Active",
            "60",
            "4",
            "1",
            "2",
            "True",
            "0.1.0",
            "node-1",
        ];
        let header = "NAME STATE ACCOUNTS USED IN OUT SERVING RELEASE NODE AGE";
        shows(namespace, &["mbs", "--output=wide"], header, &row)?;
        let both = namespace
            .kubectl(&["get", "buzonera", "--output=name"])?
            .out;
        ensure!(both.lines().count() == 2, "{both}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_shards_of_one_cluster_are_listed() {
    in_namespace("selected", async |namespace| {
        for (name, cluster) in [("a-1", "a"), ("a-2", "a"), ("b-1", "b")] {
            let shards: Api<MailboxShard> = api(namespace);
            apply(
                &shards,
                "MailboxShard",
                name,
                json!({"clusterName": cluster}),
            )
            .await?;
        }
        let of_a = [
            "get",
            "mbs",
            "--field-selector=spec.clusterName=a",
            "--output=name",
        ];
        let listed = namespace.kubectl(&of_a)?.out;
        let wanted = "mailboxshard.buzonera.dev/a-1\nmailboxshard.buzonera.dev/a-2\n";
        ensure!(listed == wanted, "{listed}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn kubectl_scale_writes_the_number_of_shards() {
    in_namespace("edited", async |namespace| {
        make(namespace).await?;
        namespace.kubectl(&[
            "scale",
            "mc/example",
            "--current-replicas=2",
            "--replicas=5",
        ])?;
        let clusters: Api<MailCluster> = api(namespace);
        let shards = clusters.get("example").await?.spec.shards;
        ensure!(shards == 5, "{shards} shards");
        let beyond = namespace.kubectl(&["scale", "mc/example", "--replicas=1001"]);
        ensure!(beyond.is_err(), "1001 shards were taken");
        Ok(())
    })
    .await;
}

/// A cluster and a shard of it, with what an operator would say of them.
async fn make(namespace: &Namespace) -> Result<()> {
    let clusters: Api<MailCluster> = api(namespace);
    let spec = json!({"hostname": "mail.example.org", "shards": 2});
    apply(&clusters, "MailCluster", "example", spec).await?;
    let status = json!({"shards": 2, "accounts": 240, "moves": 36, "version": "0.1.0",
        "summary": {"shards": "2/2"}, "conditions": [condition("Ready")]});
    tell(&clusters, "example", status).await?;
    let shards: Api<MailboxShard> = api(namespace);
    let spec = json!({"clusterName": "example"});
    apply(&shards, "MailboxShard", "example-7", spec).await?;
    let status = json!({"state": "Active", "accounts": 60, "usedPercent": 4, "movesIn": 1,
        "movesOut": 2, "release": "0.1.0", "node": "node-1",
        "conditions": [condition("Serving")]});
    tell(&shards, "example-7", status).await
}

fn condition(kind: &str) -> Value {
    json!({"type": kind, "status": "True", "reason": kind, "message": "as it is to be",
        "lastTransitionTime": "2026-11-27T08:00:00Z"})
}

fn api<K>(namespace: &Namespace) -> Api<K>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(namespace.client.clone(), &namespace.name)
}

async fn apply<K>(api: &Api<K>, kind: &str, name: &str, spec: Value) -> Result<()>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let object = json!({"apiVersion": "buzonera.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name}, "spec": spec});
    let as_test = PatchParams::apply("test");
    api.patch(name, &as_test, &Patch::Apply(object)).await?;
    Ok(())
}

async fn tell<K>(api: &Api<K>, name: &str, status: Value) -> Result<()>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let patch = Patch::Merge(json!({"status": status}));
    api.patch_status(name, &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

/// One line with those columns, of which the last, the age, is left out in `row`.
fn shows(namespace: &Namespace, what: &[&str], header: &str, row: &[&str]) -> Result<()> {
    let said = namespace.kubectl(&[&["get"], what].concat())?.out;
    let mut lines = said
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let first = lines.next().unwrap_or_default();
    let second = lines.next().unwrap_or_default();
    ensure!(first.join(" ") == header, "{said}");
    ensure!(second.get(..row.len()) == Some(row), "{said}");
    ensure!(lines.next().is_none(), "{said}");
    Ok(())
}
