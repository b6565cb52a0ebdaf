//! While a MailCluster is paused nothing of it changes, and what was asked for meanwhile comes after.

use anyhow::{Result, ensure};
use tokio::time::sleep;

use crate::platform::{LEAST, Operator, READY, apply, kubelet, ready, shards, until};
use crate::support::in_namespace;
use crate::writes::Writes;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_but_what_is_told() {
    in_namespace("paused", async |namespace| {
        let folder = tempfile::tempdir()?;
        let kubelet = kubelet(namespace, 38, folder.path())?;
        let writes = Writes::default();
        let operator = Operator::with(writes.client(namespace).await?, &namespace.name);
        apply(namespace, LEAST)?;
        ready(namespace, &kubelet).await?;
        namespace.kubectl(&[
            "annotate",
            "mailcluster",
            "example",
            "buzonera.dev/pause=true",
        ])?;
        until(namespace, "Paused", "True", "Annotated", READY).await?;
        let before = writes.noted().len();
        namespace.kubectl(&["scale", "mailcluster", "example", "--replicas=3"])?;
        let mode = r#"{"spec": {"mode": "Cordoned"}}"#;
        namespace.kubectl(&["patch", "mbs", "example-1", "--type=merge", "--patch", mode])?;
        sleep(std::time::Duration::from_secs(5)).await;
        let noted = writes.noted();
        let others = noted[before..].iter().filter(|it| !it.ends_with("/status"));
        let others: Vec<_> = others.collect();
        ensure!(others.is_empty(), "{others:?}");
        namespace.kubectl(&["annotate", "mailcluster", "example", "buzonera.dev/pause-"])?;
        e2e::wait::until("the third shard", READY, || async {
            let found = shards(namespace).await?;
            ensure!(found.len() == 3, "{} shards", found.len());
            Result::<()>::Ok(())
        })
        .await?;
        operator.stop().await
    })
    .await;
}
