//! A MailCluster that is deleted stops; applied again under its name, everything is back.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};

use crate::platform::{LEAST, Operator, READY, apply, cluster, kubelet, until};
use crate::support::{Namespace, in_namespace};

const GONE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_comes_back_with_the_same_volumes() {
    in_namespace("reapplied", async |namespace| {
        let folder = tempfile::tempdir()?;
        let _kubelet = kubelet(namespace, 34, folder.path())?;
        let operator = Operator::with(namespace.client.clone(), &namespace.name);
        apply(namespace, LEAST)?;
        let first = until(namespace, "Ready", "True", "Ready", READY).await?;
        let volumes = volumes(namespace).await?;

        for propagation in ["background", "foreground"] {
            let how = format!("--cascade={propagation}");
            namespace.kubectl(&["delete", "mailcluster", "example", &how, "--wait=true"])?;
            let pods: Api<Pod> = Api::namespaced(namespace.client.clone(), &namespace.name);
            e2e::wait::until("every pod is gone", GONE, || async {
                let left = pods.list(&ListParams::default()).await?.items.len();
                ensure!(left == 0, "{left} pods are left");
                Result::<()>::Ok(())
            })
            .await?;
            ensure!(volumes == self::volumes(namespace).await?, "{propagation}");

            apply(namespace, LEAST)?;
            let again = until(namespace, "Ready", "True", "Ready", READY).await?;
            let id = |status: Option<crds::mail_cluster::MailClusterStatus>| {
                status.and_then(|status| status.cluster_id)
            };
            ensure!(
                id(again.status) == id(first.status.clone()),
                "{propagation}"
            );
            ensure!(volumes == self::volumes(namespace).await?, "{propagation}");
        }
        operator.stop().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_root_nothing_is_made_anew() {
    in_namespace("rootless", async |namespace| {
        let folder = tempfile::tempdir()?;
        let _kubelet = kubelet(namespace, 35, folder.path())?;
        let operator = Operator::with(namespace.client.clone(), &namespace.name);
        apply(namespace, LEAST)?;
        until(namespace, "Ready", "True", "Ready", READY).await?;
        let secrets: Api<Secret> = Api::namespaced(namespace.client.clone(), &namespace.name);
        let kept = secrets.get("example-ca").await?;
        namespace.kubectl(&["delete", "secret", "example-ca"])?;
        let told = until(namespace, "Stalled", "True", "RootMissing", GONE).await?;
        let conditions = told.status.unwrap_or_default().conditions;
        let message = conditions
            .iter()
            .find(|it| it.type_ == "Stalled")
            .map(|it| &it.message);
        ensure!(
            message.is_some_and(|it| it.contains("restore example-ca")),
            "{message:?}"
        );
        ensure!(
            secrets.get_opt("example-ca").await?.is_none(),
            "a new root was made"
        );

        let restored = Secret {
            metadata: kube::core::ObjectMeta {
                name: kept.metadata.name,
                labels: kept.metadata.labels,
                ..Default::default()
            },
            ..kept
        };
        secrets.create(&Default::default(), &restored).await?;
        until(namespace, "Ready", "True", "Ready", READY).await?;
        ensure!(
            cluster(namespace)
                .await?
                .metadata
                .deletion_timestamp
                .is_none(),
            "it is there"
        );
        operator.stop().await
    })
    .await;
}

/// Names and uids.
async fn volumes(namespace: &Namespace) -> Result<Vec<(String, Option<String>)>> {
    let api: Api<PersistentVolumeClaim> =
        Api::namespaced(namespace.client.clone(), &namespace.name);
    let claims = api.list(&ListParams::default()).await?;
    Ok(claims
        .iter()
        .map(|claim| (claim.name_any(), claim.uid()))
        .collect())
}
