//! Labels.

use std::collections::BTreeMap;

use super::{ClusterName, OPERATOR, Tier};

/// The MailCluster that something belongs to.
pub const CLUSTER: &str = "buzonera.dev/cluster";
/// Its tier.
pub const TIER: &str = "buzonera.dev/tier";
/// The shard that it belongs to.
pub const SHARD: &str = "buzonera.dev/shard";
/// Which of its tier it is, where each is a StatefulSet of its own.
pub const ORDINAL: &str = "buzonera.dev/ordinal";
/// On a MailboxShard that the operator made, and on its volume: `spec.shards` counts it.
pub const COUNTED: &str = "buzonera.dev/counted";
/// On the volume of a shard that was retired.
pub const RETIRED: &str = "buzonera.dev/retired";
/// The value of [`COUNTED`] and [`RETIRED`].
pub const TRUE: &str = "true";

/// Whether a label or annotation says [`TRUE`].
pub fn is_true(labels: &Labels, key: &str) -> bool {
    labels.get(key).is_some_and(|value| value == TRUE)
}

/// What begins the keys that are ours alone.
pub const OURS: [&str; 2] = ["app.kubernetes.io/", "buzonera.dev/"];

/// Labels by key.
pub type Labels = BTreeMap<String, String>;

/// Which of a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instance {
    /// All of it.
    All,
    /// The StatefulSet with this number.
    Ordinal(u32),
    /// The shard with this number.
    Shard(u32),
}

/// What selects pods. It can never change, so it holds no version and nothing that people write.
pub fn selector(cluster: &ClusterName, tier: Tier, instance: Instance) -> Labels {
    let which = match instance {
        Instance::All => None,
        Instance::Ordinal(ordinal) => Some((ORDINAL, ordinal.to_string())),
        Instance::Shard(ordinal) => Some((SHARD, cluster.shard(ordinal))),
    };
    let always = [
        (CLUSTER, cluster.to_string()),
        (TIER, tier.as_str().to_owned()),
    ];
    owned(always.into_iter().chain(which))
}

/// The labels of an object that goes with its MailCluster: the selector's, and those that every
/// tool knows.
pub fn of(cluster: &ClusterName, tier: Tier, instance: Instance) -> Labels {
    let mut labels = selector(cluster, tier, instance);
    labels.extend(owned([
        ("app.kubernetes.io/name", "buzonera".to_owned()),
        ("app.kubernetes.io/instance", cluster.to_string()),
        ("app.kubernetes.io/component", tier.as_str().to_owned()),
        ("app.kubernetes.io/managed-by", OPERATOR.to_owned()),
    ]));
    labels
}

/// The labels of what stays when the MailCluster goes: ours alone. A tool that deletes whatever has
/// its application's `app.kubernetes.io/instance` and stands in no repository would delete the mail.
pub fn of_kept(cluster: &ClusterName, tier: Tier, instance: Instance) -> Labels {
    selector(cluster, tier, instance)
}

/// The labels of the Secret that everything hangs on.
pub fn of_root(cluster: &ClusterName) -> Labels {
    owned([(CLUSTER, cluster.to_string())])
}

/// The labels of a MailboxShard that the operator makes.
pub fn of_counted_shard(cluster: &ClusterName) -> Labels {
    owned([(CLUSTER, cluster.to_string()), (COUNTED, TRUE.to_owned())])
}

/// What the API server is asked for that has all of them.
pub fn to_selector(labels: &Labels) -> String {
    let pairs = labels.iter().map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(",")
}

fn owned<'a>(labels: impl IntoIterator<Item = (&'a str, String)>) -> Labels {
    let pairs = labels.into_iter();
    pairs.map(|(key, value)| (key.to_owned(), value)).collect()
}
