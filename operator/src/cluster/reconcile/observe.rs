//! What is there of a cluster.

use std::collections::BTreeMap;

use crds::{MailCluster, MailboxShard};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;

use crate::cluster::validate::Pinned;
use crate::context::Ctx;
use crate::directory::Of;
use crate::identities::{self, Data};
use crate::names::labels::{self, Labels};
use crate::names::{ClusterName, annotations};
use crate::objects::{Key, Kind};
use crate::root::Record;

/// What is there, as far as it was followed.
pub(super) struct Seen {
    /// What the record says of release and registry; none: there is no root yet.
    pub(super) pinned: Option<Pinned>,
    /// Every StatefulSet of the cluster.
    pub(super) sets: BTreeMap<String, StatefulSet>,
    /// Every Secret of the cluster, by name.
    pub(super) secrets: BTreeMap<String, Data>,
    /// Every shard of the cluster.
    pub(super) shards: Vec<MailboxShard>,
    /// Nothing is to be applied, and nothing to move.
    pub(super) is_paused: bool,
}

/// `record`: of its root, if there is one.
pub(super) fn observe(
    ctx: &Ctx,
    object: &MailCluster,
    (namespace, name): &Of,
    record: Option<&Record>,
) -> Seen {
    let ours = Labels::from([(labels::CLUSTER.to_owned(), name.to_string())]);
    let sets: Vec<StatefulSet> = ctx.cache.list(Kind::StatefulSet, namespace, &ours);
    let secrets: Vec<Secret> = ctx.cache.list(Kind::Secret, namespace, &ours);
    let shards: Vec<MailboxShard> = ctx.cache.list(Kind::MailboxShard, namespace, &ours);
    let is_of_it = |shard: &MailboxShard| shard.spec.cluster_name == name.as_str();
    let named = |secret: Secret| (secret.name_any(), identities::data(secret));
    Seen {
        pinned: record.and_then(pinned_by),
        sets: sets.into_iter().map(|set| (set.name_any(), set)).collect(),
        secrets: secrets.into_iter().map(named).collect(),
        shards: shards.into_iter().filter(is_of_it).collect(),
        is_paused: is_paused(object),
    }
}

/// As the record says that was followed; one that cannot be read is found out when the root is asked
/// for.
pub(crate) fn pinned(ctx: &Ctx, name: &ClusterName, namespace: &str) -> Option<Pinned> {
    let key = Key::new(Kind::Secret, namespace, name.root());
    pinned_by(&Record::of(&ctx.cache.read::<Secret>(&key)?)?)
}

fn pinned_by(record: &Record) -> Option<Pinned> {
    Some(Pinned {
        release: record.release.parse().ok()?,
        registry: record.registry.clone(),
    })
}

/// Whether somebody has said that nothing is to change.
pub(crate) fn is_paused(object: &impl kube::ResourceExt) -> bool {
    labels::is_true(object.annotations(), annotations::PAUSE)
}
