//! What nobody wrote is the same to the API server and to the program that reads the objects.

use anyhow::{Result, ensure};
use crds::{MailCluster, MailboxShard};
use kube::Api;
use kube::api::PostParams;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::{Namespace, in_namespace};

#[tokio::test]
async fn what_nobody_wrote_is_filled_in_as_the_types_say() {
    in_namespace("defaults", async |namespace| {
        let least = json!({"hostname": "mail.example.org", "shards": 1});
        same::<MailCluster>(namespace, "MailCluster", "example", least).await?;
        let halves = json!({"hostname": "mail.example.org", "shards": 1,
            "mx": {"services": [{"name": "public", "ports": [{"name": "smtp", "port": 25}]}]},
            "directory": {"store": {"etcd": {}}}, "rebalance": {"perShard": {"moves": 8}},
            "shardDefaults": {"pod": {"labels": {"team": "mail"}}}, "image": {}});
        same::<MailCluster>(namespace, "MailCluster", "example", halves).await?;
        let least = json!({"clusterName": "example"});
        same::<MailboxShard>(namespace, "MailboxShard", "example-0", least).await
    })
    .await;
}

/// The API server's spec, and the one that the type makes of what was written.
async fn same<K>(namespace: &Namespace, kind: &str, name: &str, spec: Value) -> Result<()>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    K: Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let object = json!({"apiVersion": "buzonera.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name}, "spec": spec});
    let read: K = serde_json::from_value(object.clone())?;
    let read = serde_json::to_value(read)?["spec"].take();
    let any = kube::core::ApiResource::erase::<K>(&());
    let all: Api<kube::core::DynamicObject> =
        Api::namespaced_with(namespace.client.clone(), &namespace.name, &any);
    let only_try = PostParams {
        dry_run: true,
        field_manager: None,
    };
    let kept = all
        .create(&only_try, &serde_json::from_value(object)?)
        .await?;
    ensure!(
        kept.data["spec"] == read,
        "{}\nand not {read}",
        kept.data["spec"]
    );
    Ok(())
}
