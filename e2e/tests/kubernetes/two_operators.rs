//! Two operators at once make one platform, as one would, and then leave it alone: since a node that
//! is lost may go on running the one that is replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::kubernetes::Kubelet;
use kube::ResourceExt as _;

use crate::bootstrap::{WRITES, record};
use crate::people::{buzonera, mail, moves, people, read, spread};
use crate::platform::{LEAST, Operator, READY, apply, kubelet, ready, shards};
use crate::support::{Namespace, in_namespace};
use crate::two_clusters::{made, root};
use crate::writes::{Writes, rest};

/// Longer than numbers in a status wait before they are written.
const QUIET: Duration = Duration::from_secs(35);

/// What a shard has.
const OF_A_SHARD: [&str; 4] = [
    "MailboxShard",
    "PersistentVolumeClaim",
    "Secret",
    "StatefulSet",
];

#[tokio::test(flavor = "multi_thread")]
async fn they_make_and_grow_one_platform_and_do_not_fight() {
    in_namespace("two-operators", async |namespace| {
        let folder = tempfile::tempdir()?;
        let kubelet = kubelet(namespace, 43, folder.path())?;
        let both = [Writes::default(), Writes::default()];
        let mut operators = Vec::new();
        for writes in &both {
            let client = writes.client(namespace).await?;
            operators.push(Operator::hasty_with(client, &namespace.name));
        }
        apply(namespace, LEAST)?;
        ready(namespace, &kubelet).await?;
        are(namespace, &kubelet, &["example-0", "example-1"]).await?;
        for (number, writes) in both.iter().enumerate() {
            ensure!(!writes.noted().is_empty(), "operator {number} did nothing");
        }
        are_quiet(namespace, &both).await?;
        let (ca, pods) = (root(namespace, "example")?, pods(namespace)?);
        people(namespace, &kubelet).await?;
        let sent = mail(namespace, 2000).await?;

        namespace.kubectl(&["scale", "mailcluster", "example", "--replicas=3"])?;
        spread(namespace, "each of three has its part", |accounts| {
            let mut all = accounts.values();
            accounts.len() == 3 && all.all(|accounts| (6..=10).contains(accounts))
        })
        .await?;
        ready(namespace, &kubelet).await?;
        are_quiet(namespace, &both).await?;
        let expected = ["example-0", "example-1", "example-2"];
        are(namespace, &kubelet, &expected).await?;
        let moved = moves(namespace, &kubelet).await?;
        let accounts: BTreeSet<_> = moved.iter().map(|it| it["address"].to_string()).collect();
        ensure!(accounts.len() == moved.len(), "moved twice: {moved:?}");
        read(namespace, &kubelet, &sent).await?;
        ensure!(root(namespace, "example")? == ca, "the CA is another one");
        let after = self::pods(namespace)?;
        let is_there = |pod: (&String, &String)| after.get(pod.0) == Some(pod.1);
        ensure!(pods.iter().all(is_there), "{pods:?} {after:?}");
        for operator in operators {
            operator.stop().await?;
        }
        Ok(())
    })
    .await;
}

/// These shards and no other are there, to Kubernetes, to the directory and in the record; and every
/// object that one operator makes, and no more.
async fn are(namespace: &Namespace, kubelet: &Kubelet, expected: &[&str]) -> Result<()> {
    let found = shards(namespace).await?;
    let found: Vec<_> = found.iter().map(|shard| shard.name_any()).collect();
    ensure!(found == expected, "{found:?}");
    let known = buzonera(namespace, kubelet, &["shards"], "").await?;
    let known = known.as_array().context("no list")?.iter();
    let known: Vec<_> = known.filter_map(|shard| shard["name"].as_str()).collect();
    ensure!(known == expected, "{known:?}");
    let record = record(namespace)?;
    let volumes = record["volumes"].as_object().context("no volumes")?;
    let beside = ["example-etcd-0", "example-mx-0"];
    let names: BTreeSet<_> = expected.iter().chain(&beside).copied().collect();
    let noted: BTreeSet<_> = volumes.keys().map(String::as_str).collect();
    ensure!(noted == names, "{record}");
    ensure!(volumes.values().all(|made| made == "made"), "{record}");

    let is_pod = |object: &&String| object.starts_with("Pod ");
    let there = made(namespace, "example")?;
    let there: BTreeSet<_> = there.into_keys().filter(|it| !is_pod(&it)).collect();
    let names = noted
        .into_iter()
        .map(|name| format!("PersistentVolumeClaim {name}"));
    let of_shards = expected.iter().flat_map(|shard| {
        let of = |kind: &&str| format!("{kind} {shard}");
        OF_A_SHARD.iter().map(of).collect::<Vec<_>>()
    });
    let wanted: BTreeSet<_> = applied().chain(names).chain(of_shards).collect();
    ensure!(there == wanted, "{there:?} {wanted:?}");
    Ok(())
}

/// What one operator applies that is of no shard: kinds and names.
fn applied() -> impl Iterator<Item = String> {
    let kinds = BTreeMap::from([
        ("secrets", "Secret"),
        ("configmaps", "ConfigMap"),
        ("services", "Service"),
        ("poddisruptionbudgets", "PodDisruptionBudget"),
        ("statefulsets", "StatefulSet"),
    ]);
    let objects = WRITES
        .iter()
        .filter_map(|write| write.strip_prefix("PATCH "));
    objects.filter_map(move |object| {
        let (kind, name) = object.split_once('/')?;
        let is_shard = name == "example-0" || name == "example-1";
        (!is_shard).then(|| format!("{} {name}", kinds.get(kind).unwrap_or(&kind)))
    })
}

/// Neither writes anything any more, though both have a reason to look.
async fn are_quiet(namespace: &Namespace, both: &[Writes; 2]) -> Result<()> {
    let words = ["annotate", "--overwrite", "mailcluster", "example"];
    let written: usize = both.iter().map(|writes| writes.noted().len()).sum();
    let looked = format!("example.org/looked={written}");
    namespace.kubectl(&[&words[..], &[&looked]].concat())?;
    rest(both, QUIET, READY).await
}

/// Every pod's uid.
fn pods(namespace: &Namespace) -> Result<BTreeMap<String, String>> {
    let mut there = made(namespace, "example")?;
    there.retain(|object, _| object.starts_with("Pod "));
    Ok(there)
}
