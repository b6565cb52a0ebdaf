//! An mx that is too many takes no new mail, delivers what it holds, and goes; its volume stays. One
//! that is wanted again meanwhile goes on as before.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::{smtp, wait};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::Api;

use crate::people::{mail_of, people, pod, read};
use crate::platform::{LEAST, Operator, READY, apply, cluster, kubelet, ready, until};
use crate::support::{Namespace, in_namespace};

const LEAVES: &str = "example-mx-1";

/// For a change of the spec to be done.
const SOON: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn its_spool_drains_and_its_volume_stays() {
    in_namespace("mx-leaves", async |namespace| {
        let folder = tempfile::tempdir()?;
        let kubelet = kubelet(namespace, 46, folder.path())?;
        let operator = Operator::with(namespace.client.clone(), &namespace.name);
        apply(namespace, &with_mx(2))?;
        ready(namespace, &kubelet).await?;
        people(namespace, &kubelet).await?;
        // Nobody takes what it has, so it keeps it.
        for shard in ["example-0", "example-1"] {
            mode(namespace, shard, "Stopped")?;
        }
        until(namespace, "Ready", "False", "ShardsNotServing", READY).await?;
        let sent = mail_of(namespace, "example-mx-1-0", |_| 2000).await?;

        apply(namespace, &with_mx(1))?;
        let told = until(namespace, "MxDrained", "False", "Draining", SOON).await?;
        let conditions = told.status.context("no status")?.conditions;
        let drained = conditions.iter().find(|it| it.type_ == "MxDrained");
        let message = &drained.context("not told")?.message;
        ensure!(message.contains("24 recipients wait"), "{message}");
        ensure!(!lets_in(namespace).await?, "it takes mail");

        apply(namespace, &with_mx(2))?;
        wait::until("it lets people in again", SOON, || async {
            ensure!(lets_in(namespace).await?, "it does not");
            Ok(())
        })
        .await?;
        is_told_no_more(namespace).await?;

        apply(namespace, &with_mx(1))?;
        until(namespace, "MxDrained", "False", "Draining", SOON).await?;
        for shard in ["example-0", "example-1"] {
            mode(namespace, shard, "Active")?;
        }
        is_gone(namespace).await?;
        is_told_no_more(namespace).await?;
        let claims: Api<PersistentVolumeClaim> =
            Api::namespaced(namespace.client.clone(), &namespace.name);
        ensure!(claims.get_opt(LEAVES).await?.is_some(), "its volume went");
        ready(namespace, &kubelet).await?;
        read(namespace, &kubelet, &sent).await?;
        operator.stop().await
    })
    .await;
}

fn with_mx(replicas: u8) -> String {
    LEAST.replace("mx: {replicas: 1,", &format!("mx: {{replicas: {replicas},"))
}

fn mode(namespace: &Namespace, shard: &str, mode: &str) -> Result<()> {
    let patch = format!("{{\"spec\":{{\"mode\":\"{mode}\"}}}}");
    let words = [
        "patch",
        "mailboxshard",
        shard,
        "--type=merge",
        "--patch",
        &patch,
    ];
    namespace.kubectl(&words).map(drop)
}

/// Whether whoever comes is greeted, and not turned away.
async fn lets_in(namespace: &Namespace) -> Result<bool> {
    let there = SocketAddr::new(pod(namespace, "example-mx-1-0").await?, 2525);
    match smtp::Client::connect(there, "EHLO sender.example").await {
        Ok(client) => {
            client.quit().await;
            Ok(true)
        }
        Err(refused) => {
            let said = format!("{refused:#}");
            ensure!(said.contains("421"), "{said}");
            Ok(false)
        }
    }
}

async fn is_told_no_more(namespace: &Namespace) -> Result<()> {
    wait::until("nothing is told of it any more", SOON, || async {
        let status = cluster(namespace).await?.status.unwrap_or_default();
        let told = status.conditions.iter().find(|it| it.type_ == "MxDrained");
        ensure!(told.is_none(), "{told:?}");
        Ok(())
    })
    .await
}

async fn is_gone(namespace: &Namespace) -> Result<()> {
    let sets: Api<StatefulSet> = Api::namespaced(namespace.client.clone(), &namespace.name);
    let secrets: Api<Secret> = Api::namespaced(namespace.client.clone(), &namespace.name);
    wait::until("it is gone", READY, || async {
        ensure!(
            sets.get_opt(LEAVES).await?.is_none(),
            "its StatefulSet is there"
        );
        ensure!(
            secrets.get_opt(LEAVES).await?.is_none(),
            "its Secret is there"
        );
        Ok(())
    })
    .await
}
