//! What the API server itself has, before anything is done by it that cannot be taken back.

use crds::MailboxShard;
use kube::api::Api;
use kube::{Error, ResourceExt as _};
use wire::rpc::ShardInfo;

use super::{Look, Wanted};
use crate::cluster::reconcile::{Failed, is_paused, live, pinned};
use crate::cluster::validate;
use crate::context::Ctx;
use crate::names::{ClusterName, labels};
use crate::objects::Kind;
use crate::shard::Shard;
use crate::shard::decide::{Act, decide};

/// What is to be done by the objects as they are now; none: this shard or its cluster is gone, or
/// another, or not to be touched.
pub(super) async fn act(look: &Look<'_>, info: Option<&ShardInfo>) -> Result<Option<Act>, Failed> {
    let ctx = look.ctx;
    let (namespace, name) = (&look.cluster.namespace, &look.cluster.name);
    let api: Api<MailboxShard> = Api::namespaced(ctx.client.clone(), namespace);
    let object = api.get_opt(&look.object.name_any()).await?;
    let object = object.filter(|it| it.uid() == look.object.uid());
    let owner = live::cluster(&ctx.client, &(namespace.clone(), name.clone())).await?;
    let (Some(object), Some(owner)) = (object, owner) else {
        return Ok(None);
    };
    let pinned = pinned(ctx, name, namespace);
    let Ok(cluster) = validate(&owner, &ctx.operator, pinned.as_ref()) else {
        return Ok(None);
    };
    let Ok(shard) = Shard::of(&object, &cluster) else {
        return Ok(None);
    };
    if is_paused(&owner) {
        return Ok(None);
    }
    let ours = labels::to_selector(&labels::of_counted_shard(name));
    let listed = ctx.cache.list_live(Kind::MailboxShard, namespace, &ours);
    let found = listed.await?;
    let wanted = Wanted {
        object: &object,
        shard: &shard,
        cluster: &cluster,
    };
    let wish = wanted.wish(&look.view, found.iter());
    Ok(Some(decide(wish, info, look.room(wish))))
}

/// Whether a shard that is being deleted has a cluster that stays. In a namespace that ends our right
/// to ask goes before the shards do: then what was followed counts.
pub(super) async fn has_cluster(ctx: &Ctx, object: &MailboxShard) -> Result<bool, Error> {
    let Ok(name) = object.spec.cluster_name.parse::<ClusterName>() else {
        return Ok(false);
    };
    let namespace = object.namespace().unwrap_or_default();
    match live::cluster(&ctx.client, &(namespace, name)).await {
        Ok(found) => Ok(found.is_some()),
        Err(Error::Api(status)) if status.code == 403 => Ok(false),
        Err(error) => Err(error),
    }
}
