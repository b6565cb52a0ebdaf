//! A wrong spec changes nothing that runs, and says what to write instead.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use crate::platform::{LEAST, Operator, READY, apply, kubelet, until};
use crate::support::{Namespace, in_namespace};

const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn it_names_the_field_and_restarts_nothing() {
    in_namespace("wrong-spec", async |namespace| {
        let folder = tempfile::tempdir()?;
        let _kubelet = kubelet(namespace, 33, folder.path())?;
        let operator = Operator::with(namespace.client.clone(), &namespace.name);
        apply(namespace, LEAST)?;
        until(namespace, "Ready", "True", "Ready", READY).await?;
        let before = pods(namespace).await?;

        let wrong = LEAST.replace("hostname:", "version: 9.9.9\n  hostname:");
        apply(namespace, &wrong)?;
        let told = until(namespace, "Ready", "False", "InvalidSpec", SOON).await?;
        let status = told.status.context("no status")?;
        let stalled = status.conditions.iter().find(|it| it.type_ == "Stalled");
        let stalled = stalled.context("not Stalled")?;
        ensure!(
            stalled.message.starts_with("version: "),
            "{}",
            stalled.message
        );
        ensure!(
            status.shards_serving == Some(2),
            "what was told stays: {status:?}"
        );

        apply(namespace, LEAST)?;
        until(namespace, "Ready", "True", "Ready", SOON).await?;
        let after = pods(namespace).await?;
        ensure!(before == after, "{before:?} {after:?}");
        operator.stop().await
    })
    .await;
}

async fn pods(namespace: &Namespace) -> Result<Vec<String>> {
    let api: Api<Pod> = Api::namespaced(namespace.client.clone(), &namespace.name);
    let pods = api.list(&ListParams::default()).await?;
    Ok(pods.iter().filter_map(ResourceExt::uid).collect())
}
