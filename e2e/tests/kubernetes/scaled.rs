//! Editing one number makes shards come and go. (No account is on them here: what moves is another
//! promise.)

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, ResourceExt};

use crate::platform::{LEAST, Operator, READY, apply, kubelet, shards, until};
use crate::support::{Namespace, in_namespace};

const SOON: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_was_used_never_returns_and_its_volume_stays() {
    in_namespace("scaled", async |namespace| {
        let folder = tempfile::tempdir()?;
        let _kubelet = kubelet(namespace, 36, folder.path())?;
        let operator = Operator::with(namespace.client.clone(), &namespace.name);
        apply(namespace, LEAST)?;
        until(namespace, "Ready", "True", "Ready", READY).await?;

        scale(namespace, 3)?;
        are(namespace, &["example-0", "example-1", "example-2"]).await?;
        scale(namespace, 1)?;
        are(namespace, &["example-0"]).await?;
        for left in ["example-1", "example-2"] {
            let claims: Api<PersistentVolumeClaim> =
                Api::namespaced(namespace.client.clone(), &namespace.name);
            let claim = claims.get(left).await?;
            let retired = claim
                .labels()
                .get("buzonera.dev/retired")
                .map(String::as_str);
            ensure!(retired == Some("true"), "{left}: {:?}", claim.labels());
        }
        scale(namespace, 2)?;
        are(namespace, &["example-0", "example-3"]).await?;
        operator.stop().await
    })
    .await;
}

fn scale(namespace: &Namespace, shards: u32) -> Result<()> {
    let replicas = format!("--replicas={shards}");
    namespace.kubectl(&["scale", "mailcluster", "example", &replicas])?;
    Ok(())
}

/// Waits until these shards are there, all of them serve, and there is no other.
async fn are(namespace: &Namespace, expected: &[&str]) -> Result<()> {
    e2e::wait::until(&format!("{expected:?}"), SOON, || async {
        let found = shards(namespace).await?;
        let serving = |shard: &crds::MailboxShard| {
            let conditions = shard.status.iter().flat_map(|status| &status.conditions);
            let told: Vec<_> = conditions
                .map(|it| format!("{}={} {} {}", it.type_, it.status, it.reason, it.message))
                .collect();
            format!("{} {:?}", shard.name_any(), told)
        };
        let told: Vec<_> = found.iter().map(serving).collect();
        let names: Vec<_> = found.iter().map(ResourceExt::name_any).collect();
        ensure!(names == expected, "{told:?}");
        ensure!(
            told.iter().all(|it| it.contains("Serving=True")),
            "{told:?}"
        );
        Ok(())
    })
    .await?;
    until(namespace, "Ready", "True", "Ready", SOON).await?;
    Ok(())
}
