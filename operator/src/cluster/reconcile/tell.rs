//! What the directory is told, and the shards that come of it.

use std::collections::BTreeSet;

use crds::MailboxShard;
use crds::mail_cluster::Domain;
use crds::mailbox_shard::{MailboxShardSpec, ShardMode};
use crds::storage::OwnStorage;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kit::rpc::Channel;
use kube::ResourceExt as _;
use kube::api::Api;
use tonic::Status;
use wire::ids::{ClusterId, RequestId};
use wire::rpc::{MoveLimits, ShardInfo, ShardState};

use super::Look;
use super::observe::Seen;
use super::report::Outcome;
use crate::apply::created_by_us;
use crate::cluster::Cluster;
use crate::context::Ctx;
use crate::directory::{Reachable, View, add_domain, allocate, bootstrap, set_limits};
use crate::metrics::Verb;
use crate::names::{SHARD_FINALIZER, labels};
use crate::objects::Kind;
use crate::root::{Root, change};

/// Tells it everything that it does not know yet. While the cluster is paused, only that moves are.
pub(super) async fn tell(look: &Look<'_>, root: &mut Root, view: &View, outcome: &mut Outcome) {
    let Some(channel) = &view.channel else {
        return;
    };
    let is_ours = root.record.bootstrapped;
    match view.reachable() {
        Reachable::Empty if is_ours => outcome.store_is_empty = true,
        Reachable::Empty | Reachable::Answering if !is_ours && !look.seen.is_paused => {
            make_ours(look, root, channel, outcome).await;
        }
        Reachable::Answering => {
            if let Err(status) = settings(look, channel).await {
                outcome.refused(&status);
            }
            if !look.seen.is_paused {
                shards(look, root.id, (view, channel), outcome).await;
            }
        }
        Reachable::Empty | Reachable::NoStore | Reachable::Loading | Reachable::NoReplica => {}
    }
}

async fn make_ours(look: &Look<'_>, root: &mut Root, channel: &Channel, outcome: &mut Outcome) {
    let Look { ctx, cluster, .. } = look;
    if let Err(status) = bootstrap(channel, root.id).await {
        outcome.refused(&status);
        return;
    }
    let whose = (&cluster.name, cluster.namespace.as_str());
    let noted = change(&ctx.client, &ctx.metrics, whose, root, |record| {
        record.bootstrapped = true;
    });
    if outcome.note(noted.await).is_some() {
        let note = format!("the store is that of cluster {}", root.id);
        ctx.event(look.object, "ClusterBootstrapped", note).await;
        outcome.is_moving_on = true;
    }
}

/// Limits and domains: once each by this process, and again when the spec changes.
async fn settings(look: &Look<'_>, channel: &Channel) -> Result<(), Status> {
    let Look {
        ctx, cluster, seen, ..
    } = look;
    let of = (cluster.namespace.clone(), cluster.name.clone());
    let mut told = ctx.told.lock().get(&of).cloned().unwrap_or_default();
    let limits = MoveLimits {
        max_open: 0,
        per_shard: cluster.rebalance.moves,
        bytes_per_second: cluster.rebalance.bytes_per_second,
        paused: seen.is_paused,
    };
    if told.limits != Some(limits) {
        set_limits(channel, limits).await?;
        told.limits = Some(limits);
    }
    let new = |domain: &&Domain| !seen.is_paused && !told.domains.contains(&domain.name);
    let missing: Vec<Domain> = cluster.domains.iter().filter(new).cloned().collect();
    for domain in missing {
        let postmaster = domain.postmaster.unwrap_or_default();
        add_domain(channel, &domain.name, postmaster).await?;
        told.domains.insert(domain.name);
    }
    let names: BTreeSet<_> = cluster.domains.iter().map(|domain| &domain.name).collect();
    told.domains.retain(|name| names.contains(name));
    ctx.told.lock().insert(of, told);
    Ok(())
}

/// First objects for the shards that the directory knows, then shards that are missing, one after
/// the other.
async fn shards(
    look: &Look<'_>,
    id: ClusterId,
    (view, channel): (&View, &Channel),
    outcome: &mut Outcome,
) {
    let Look {
        ctx, cluster, seen, ..
    } = look;
    let Some(known) = &view.shards else {
        return;
    };
    let objects: BTreeSet<String> = seen.shards.iter().map(MailboxShard::name_any).collect();
    let mut counted = count(seen, view);
    let ours = |shard: &&ShardInfo| cluster.name.shard_ordinal(&shard.name).is_some();
    for shard in view.shards_there().filter(ours) {
        if objects.contains(&shard.name) {
            continue;
        }
        let is_counted = outcome.note(is_counted(ctx, cluster, &shard.name).await);
        if is_counted == Some(true) {
            counted += u32::from(make_object(ctx, cluster, &shard.name, outcome).await);
        }
    }
    // An old list might miss a shard that was just made.
    if view.stale || counted >= cluster.shards || outcome.has_failed() {
        return;
    }
    let request = request(id, known.len());
    let made = allocate(channel, cluster.name.as_str(), None, None, request).await;
    let Some(made) = outcome.note(made) else {
        return;
    };
    outcome.is_moving_on = true;
    if make_object(ctx, cluster, &made.name, outcome).await {
        let note = format!("{} was made", made.name);
        ctx.event(look.object, "ShardAllocated", note).await;
    }
}

/// How many shards there are that `spec.shards` counts and that stay.
fn count(seen: &Seen, view: &View) -> u32 {
    let has_retired = |shard: &MailboxShard| {
        let info = view.shard(&shard.name_any());
        info.is_some_and(|info| info.state() == ShardState::Retired)
    };
    let stays = |shard: &&MailboxShard| {
        labels::is_true(shard.labels(), labels::COUNTED)
            && shard.metadata.deletion_timestamp.is_none()
            && !has_retired(shard)
    };
    u32::try_from(seen.shards.iter().filter(stays).count()).unwrap_or(u32::MAX)
}

/// Its volume remembers; without one it was allocated a moment ago, by an operator.
async fn is_counted(ctx: &Ctx, cluster: &Cluster, shard: &str) -> Result<bool, kube::Error> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(ctx.client.clone(), &cluster.namespace);
    let claim = api.get_metadata_opt(shard).await?;
    Ok(claim.is_none_or(|claim| labels::is_true(claim.labels(), labels::COUNTED)))
}

/// The same as long as the directory knows as many shards: an answer that was lost is found again.
fn request(id: ClusterId, known: usize) -> RequestId {
    let mut bytes = *id.as_bytes();
    bytes[8..].copy_from_slice(&u64::try_from(known).unwrap_or(u64::MAX).to_be_bytes());
    RequestId::from_bytes(bytes)
}

/// A shard that says nothing else than whose it is: in all else it follows `shardDefaults`. True: it
/// is there now.
async fn make_object(ctx: &Ctx, cluster: &Cluster, name: &str, outcome: &mut Outcome) -> bool {
    let spec = MailboxShardSpec {
        cluster_name: cluster.name.to_string(),
        mode: ShardMode::Active,
        storage: OwnStorage::default(),
        pod: crds::pod::Pod::default(),
        weight: None,
    };
    let mut shard = MailboxShard::new(name, spec);
    shard.metadata.labels = Some(labels::of_counted_shard(&cluster.name));
    shard.metadata.finalizers = Some(vec![SHARD_FINALIZER.to_owned()]);
    let api: Api<MailboxShard> = Api::namespaced(ctx.client.clone(), &cluster.namespace);
    ctx.metrics.wrote(Kind::MailboxShard.as_str(), Verb::Create);
    match api.create(&created_by_us(), &shard).await {
        Ok(_) => true,
        Err(kube::Error::Api(status)) if status.code == 409 => true,
        Err(error) => {
            outcome.note::<(), _>(Err(error));
            false
        }
    }
}
