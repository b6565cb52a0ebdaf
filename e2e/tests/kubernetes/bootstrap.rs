//! `kubectl apply` makes a mail platform; an operator that dies at any write leaves nothing that the
//! next one does not bring to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::slice;
use std::time::Duration;

use anyhow::{Result, ensure};
use kube::ResourceExt as _;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::platform::{LEAST, Operator, READY, apply, kubelet, ready, shards, until};
use crate::support::{Namespace, in_namespace};
use crate::writes::{Writes, rest};

/// What is written from nothing to Ready, statuses apart. A new write belongs here too.
pub(crate) const WRITES: &[&str] = &[
    "POST secrets",
    "PATCH secrets/example-ca",
    "POST persistentvolumeclaims",
    "PATCH secrets/example-etcd-0",
    "PATCH secrets/example-etcd-client",
    "PATCH secrets/example-directory",
    "PATCH secrets/example-admin",
    "PATCH secrets/example-proxy",
    "PATCH secrets/example-mx-0",
    "PATCH secrets/example-public",
    "PATCH configmaps/example-etcd",
    "PATCH configmaps/example-peers",
    "PATCH services/example-etcd",
    "PATCH services/example-directory",
    "PATCH services/example-shards",
    "PATCH services/example-mx-rpc",
    "PATCH services/example-mx-public",
    "PATCH services/example-proxy-public",
    "PATCH poddisruptionbudgets/example-etcd",
    "PATCH poddisruptionbudgets/example-directory",
    "PATCH poddisruptionbudgets/example-shards",
    "PATCH poddisruptionbudgets/example-proxy",
    "PATCH poddisruptionbudgets/example-mx",
    "PATCH statefulsets/example-etcd-0",
    "PATCH statefulsets/example-directory",
    "PATCH statefulsets/example-proxy",
    "PATCH statefulsets/example-mx-0",
    "POST mailboxshards",
    "PATCH secrets/example-0",
    "PATCH secrets/example-1",
    "PATCH statefulsets/example-0",
    "PATCH statefulsets/example-1",
];

/// More would mean that it does not come to an end.
const MAX_KILLS: u32 = 120;

#[tokio::test(flavor = "multi_thread")]
async fn from_nothing_to_ready_and_then_nothing_is_written() {
    in_namespace("bootstrap", async |namespace| {
        let folder = tempfile::tempdir()?;
        let kubelet = kubelet(namespace, 31, folder.path())?;
        let writes = Writes::default();
        let operator = Operator::with(writes.client(namespace).await?, &namespace.name);
        apply(namespace, LEAST)?;
        ready(namespace, &kubelet).await?;
        is_whole(namespace).await?;
        until(namespace, "Rebalancing", "False", "Balanced", READY).await?;
        rest(slice::from_ref(&writes), SETTLED, READY).await?;
        // Another operator finds everything as it is to be.
        operator.stop().await?;
        let writes = Writes::default();
        let again = Operator::with(writes.client(namespace).await?, &namespace.name);
        sleep(SETTLED).await;
        ensure!(writes.noted().is_empty(), "{:?}", writes.noted());
        namespace.kubectl(&[
            "label",
            "service",
            "example-mx-public",
            "buzonera.dev/tier-",
            "--overwrite",
        ])?;
        e2e::wait::until("the label is back", READY, || async {
            ensure!(
                writes.noted() == ["PATCH services/example-mx-public"],
                "{:?}",
                writes.noted()
            );
            Result::<()>::Ok(())
        })
        .await?;
        sleep(SETTLED).await;
        ensure!(writes.noted().len() == 1, "{:?}", writes.noted());
        again.stop().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_dies_behind_each_write_is_carried_on() {
    in_namespace("killed", async |namespace| {
        let folder = tempfile::tempdir()?;
        let kubelet = kubelet(namespace, 32, folder.path())?;
        let writes = Writes::default();
        apply(namespace, LEAST)?;
        let mut kills = 0;
        loop {
            writes.cut_behind_next();
            let operator = Operator::with(writes.client(namespace).await?, &namespace.name);
            let was_cut = timeout(PATIENT, writes.was_cut()).await.is_ok();
            operator.kill();
            writes.mend();
            if !was_cut && is_whole(namespace).await.is_ok() {
                break;
            }
            kills += u32::from(was_cut);
            ensure!(kills < MAX_KILLS, "{:?}", writes.noted());
        }
        let operator = Operator::with(writes.client(namespace).await?, &namespace.name);
        ready(namespace, &kubelet).await?;
        is_whole(namespace).await?;
        operator.stop().await?;
        let noted = writes.noted();
        let noted = noted.iter().map(String::as_str);
        let noted: BTreeSet<_> = noted.filter(|it| !it.ends_with("/status")).collect();
        let expected: BTreeSet<_> = WRITES.iter().copied().collect();
        ensure!(noted == expected, "{noted:?}");
        ensure!(usize::try_from(kills)? > WRITES.len(), "{kills} kills");
        Ok(())
    })
    .await;
}

/// An operator that writes nothing for so long waits for something, or is done.
const PATIENT: Duration = Duration::from_secs(8);

/// Longer than any debounce and any look at what is awaited soon.
const SETTLED: Duration = Duration::from_secs(5);

/// Two shards and no more; every volume is noted as made.
async fn is_whole(namespace: &Namespace) -> Result<()> {
    let shards = shards(namespace).await?;
    let names: Vec<_> = shards.iter().map(|shard| shard.name_any()).collect();
    ensure!(names == ["example-0", "example-1"], "{names:?}");
    let record = record(namespace)?;
    let volumes = record["volumes"].as_object().map(|volumes| volumes.iter());
    let volumes: BTreeMap<_, _> = volumes.into_iter().flatten().collect();
    let names: Vec<_> = volumes.keys().map(|name| name.as_str()).collect();
    ensure!(
        names == ["example-0", "example-1", "example-etcd-0", "example-mx-0"],
        "{record}"
    );
    ensure!(volumes.values().all(|made| *made == "made"), "{record}");
    ensure!(record["bootstrapped"] == true, "{record}");
    Ok(())
}

/// What was decided and made, as the root notes it.
pub(crate) fn record(namespace: &Namespace) -> Result<Value> {
    let record = namespace.kubectl(&[
        "get",
        "secret",
        "example-ca",
        "--output=go-template={{.data.record | base64decode}}",
    ])?;
    Ok(serde_json::from_str(&record.out)?)
}
