//! A MailboxShard that somebody wrote gets what those of the operator have: the label by which it is
//! followed, and the finalizer that keeps it until its accounts are elsewhere.

use crds::MailboxShard;
use kube::ResourceExt as _;
use kube::api::{Api, Patch};
use serde_json::json;

use crate::apply::merged_by_us;
use crate::cluster::Cluster;
use crate::context::Ctx;
use crate::metrics::Verb;
use crate::names::{SHARD_FINALIZER, labels};
use crate::objects::Kind;

/// True: it was changed.
pub(super) async fn adopt(
    ctx: &Ctx,
    object: &MailboxShard,
    cluster: &Cluster,
) -> Result<bool, kube::Error> {
    let is_followed = object
        .labels()
        .get(labels::CLUSTER)
        .is_some_and(|it| it == cluster.name.as_str());
    let is_kept = object.finalizers().iter().any(|it| it == SHARD_FINALIZER);
    if is_followed && is_kept || object.metadata.deletion_timestamp.is_some() {
        return Ok(false);
    }
    let mut finalizers = object.finalizers().to_vec();
    if !is_kept {
        finalizers.push(SHARD_FINALIZER.to_owned());
    }
    // The version: a merge of lists replaces them.
    let patch = json!({"metadata": {
        "resourceVersion": object.resource_version(),
        "labels": {labels::CLUSTER: cluster.name.to_string()},
        "finalizers": finalizers,
    }});
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<MailboxShard> = Api::namespaced(ctx.client.clone(), &namespace);
    ctx.metrics.wrote(Kind::MailboxShard.as_str(), Verb::Apply);
    api.patch(&object.name_any(), &merged_by_us(), &Patch::Merge(patch))
        .await?;
    Ok(true)
}
