//! A volume goes where its pod goes, as one on a network does, and goes with its claim.

use anyhow::{Result, ensure};
use e2e::wait;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use super::support::{done, on_nodes, worker};
use crate::support::{Namespace, PATIENCE};

#[cfg_attr(not(namespaces), ignore = "namespaces cannot be made here (root)")]
#[tokio::test]
async fn a_volume_moves_with_its_pod_and_goes_with_its_claim() {
    on_nodes("volumes", async |namespace, cluster| {
        let claims: Api<PersistentVolumeClaim> =
            Api::namespaced(namespace.client.clone(), &namespace.name);
        let claim = json!({"metadata": {"name": "mail"}, "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        }});
        let claim = serde_json::from_value(claim)?;
        claims.create(&PostParams::default(), &claim).await?;
        let write = ["write", "/mail/letter", "Dear Ana"];
        done(namespace, with_volume(worker("writes", "node-1", &write))).await?;
        let read = worker("reads", "node-2", &["read", "/mail/letter"]);
        let said = done(namespace, with_volume(read)).await?;
        ensure!(said == "Dear Ana", "{said}");
        let volume = claims
            .get("mail")
            .await?
            .spec
            .and_then(|spec| spec.volume_name);
        let volume = volume.unwrap_or_default();
        let disk = cluster.folder().join(format!("volumes/{volume}.img"));
        ensure!(disk.metadata()?.len() == 1 << 30, "{}", disk.display());
        claims.delete("mail", &DeleteParams::default()).await?;
        gone(namespace, &volume).await?;
        ensure!(!disk.exists(), "{} is there", disk.display());
        Ok(())
    })
    .await;
}

fn with_volume(mut pod: Value) -> Value {
    let claim = json!({"claimName": "mail"});
    pod["spec"]["volumes"] = json!([{"name": "mail", "persistentVolumeClaim": claim}]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "mail", "mountPath": "/mail"}]);
    pod
}

async fn gone(namespace: &Namespace, volume: &str) -> Result<()> {
    let volumes: Api<PersistentVolume> = Api::all(namespace.client.clone());
    wait::until("the volume is gone", PATIENCE, || async {
        ensure!(
            volumes.get_opt(volume).await?.is_none(),
            "{volume} is there"
        );
        Ok(())
    })
    .await
}
