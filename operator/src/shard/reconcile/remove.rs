//! A shard that has left: its pod goes, then its certificate, then its object. Its volume stays, with
//! a label that says so.

use crds::MailboxShard;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::ResourceExt as _;
use kube::api::{Api, Patch};
use serde_json::json;

use super::Look;
use crate::apply::{delete, exactly, merged_by_us, unless_gone};
use crate::cluster::reconcile::Failed;
use crate::context::Ctx;
use crate::metrics::Verb;
use crate::names::labels::{self, Instance};
use crate::names::{SHARD_FINALIZER, Tier};
use crate::objects::Kind;

/// One step; true: something was changed.
pub(super) async fn remove(look: &Look<'_>) -> Result<bool, Failed> {
    let (ctx, namespace) = (look.ctx, &look.cluster.namespace);
    let name = look.object.name_any();
    if delete::<StatefulSet>(ctx, Kind::StatefulSet, namespace, &name).await? {
        return Ok(true);
    }
    // Asked of the API server itself: a pod that still runs would find its certificate gone.
    let instance = Instance::Shard(look.shard.ordinal);
    let selector = labels::selector(&look.cluster.name, Tier::Storage, instance);
    let pods = ctx
        .cache
        .list_live(Kind::Pod, namespace, &labels::to_selector(&selector))
        .await?;
    if !pods.is_empty() {
        return Ok(false);
    }
    if delete::<Secret>(ctx, Kind::Secret, namespace, &name).await? {
        return Ok(true);
    }
    keep(ctx, namespace, &name).await?;
    let note = format!("{name} has left; its volume stays as the PersistentVolumeClaim {name}");
    ctx.event(look.object, "ShardRetired", note.clone()).await;
    ctx.event(look.owner, "ShardRetired", note).await;
    if look.object.metadata.deletion_timestamp.is_none() {
        delete_object(ctx, look.object).await?;
    }
    let_go(ctx, look.object).await?;
    Ok(true)
}

/// Takes our finalizer away, if it is there, from that very object and no other of its name.
pub(super) async fn let_go(ctx: &Ctx, object: &MailboxShard) -> Result<(), kube::Error> {
    let others = object
        .finalizers()
        .iter()
        .filter(|it| *it != SHARD_FINALIZER);
    let others: Vec<_> = others.cloned().collect();
    if others.len() == object.finalizers().len() {
        return Ok(());
    }
    let patch = json!({"metadata": {"uid": object.uid(), "finalizers": others}});
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<MailboxShard> = Api::namespaced(ctx.client.clone(), &namespace);
    ctx.metrics.wrote(Kind::MailboxShard.as_str(), Verb::Apply);
    match api
        .patch(&object.name_any(), &merged_by_us(), &Patch::Merge(patch))
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}

/// The very object that was looked at, and no other of its name.
async fn delete_object(ctx: &Ctx, object: &MailboxShard) -> Result<(), kube::Error> {
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<MailboxShard> = Api::namespaced(ctx.client.clone(), &namespace);
    ctx.metrics.wrote(Kind::MailboxShard.as_str(), Verb::Delete);
    let deleted = api.delete(&object.name_any(), &exactly(object.uid())).await;
    unless_gone(deleted.map(drop))
}

async fn keep(ctx: &Ctx, namespace: &str, name: &str) -> Result<(), kube::Error> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(ctx.client.clone(), namespace);
    let patch = json!({"metadata": {"labels": {labels::RETIRED: labels::TRUE}}});
    let kind = Kind::PersistentVolumeClaim.as_str();
    ctx.metrics.wrote(kind, Verb::Apply);
    unless_gone(
        api.patch(name, &merged_by_us(), &Patch::Merge(patch))
            .await
            .map(drop),
    )
}
