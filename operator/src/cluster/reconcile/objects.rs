//! What is applied: everything that is wanted, as far as its time has come.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use crds::{MailCluster, MailboxShard};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::Api;

use super::observe::Seen;
use super::report::Outcome;
use super::rollout::Rollout;
use super::{Failed, Look, claims, leave, rollout};
use crate::cluster::Cluster;
use crate::cluster::build::{Facts, build};
use crate::context::Ctx;
use crate::directory::View;
use crate::identities::{self, Brought, PublicState};
use crate::leaving::{Counted, choose};
use crate::names::{Owner, SecretOf, Tier};
use crate::objects::{Files, Key, Kind, Object, Prepared};
use crate::rollout::Of;
use crate::root::Root;
use crate::shard::{self, decide::Wish};

/// What was applied.
pub(super) struct Tiers {
    /// Where the public certificate comes from.
    pub(super) public: Option<PublicState>,
    /// When a certificate is due next.
    pub(super) next_due: Option<SystemTime>,
    /// How the rollout stands; none: nothing is known of it yet.
    pub(super) rollout: Option<Rollout>,
}

/// Applies everything. While the cluster is paused, certificates alone: they end by themselves.
pub(super) async fn apply(
    look: &Look<'_>,
    root: &mut Root,
    view: Option<&View>,
    outcome: &mut Outcome,
) -> Result<Tiers, Failed> {
    let Look {
        ctx, cluster, seen, ..
    } = look;
    let mut facts = facts(look, root);
    facts.mx_shut = leave::open(look, root, outcome).await;
    let public = secrets(look, root, &mut facts, outcome).await;
    let renewed = renewed(look, &facts);
    let next_due = next_due(ctx, cluster, &facts);
    let prepared = build(cluster, &facts)?;
    let shards = shards(look, view, &facts.owner)?;
    if !seen.is_paused {
        let mut claims = prepared.claims;
        claims.extend(shards.claims);
        claims::ensure(ctx, cluster, root, &claims, outcome).await;
    }
    let known = (view, root.record.bootstrapped);
    let gated = rollout::gate(look, prepared.objects, shards.sets, known).await;
    for wanted in gated.objects.iter().filter(|it| is_due(it, root, seen)) {
        let applied = outcome.note_applied(ctx.applier.apply(wanted).await);
        if let Some(applied) = applied {
            if applied.is_written()
                && let Some(certificates) = renewed.get(&wanted.key())
            {
                let secret = wanted.key();
                ctx.tell_renewed(look.object, &secret, certificates).await;
            }
            ctx.tell_applied(look.object, wanted, applied).await;
        }
    }
    Ok(Tiers {
        public,
        next_due,
        rollout: gated.rollout,
    })
}

/// Whoever needs the directory waits until there is one; etcd and the directory begin.
fn is_due(wanted: &Object, root: &Root, seen: &Seen) -> bool {
    match wanted.kind() {
        Kind::Secret => true,
        _ if seen.is_paused => false,
        Kind::StatefulSet => match wanted.place().tier {
            Tier::Etcd | Tier::Directory => true,
            Tier::Storage | Tier::Proxy | Tier::Mx => root.record.bootstrapped,
        },
        Kind::ConfigMap
        | Kind::Service
        | Kind::PodDisruptionBudget
        | Kind::PersistentVolumeClaim
        | Kind::Pod
        | Kind::MailboxShard => true,
    }
}

fn facts(look: &Look<'_>, root: &Root) -> Facts {
    let Look { cluster, seen, .. } = look;
    let replicas = |set: &StatefulSet| {
        let replicas = set.spec.as_ref()?.replicas?;
        u32::try_from(replicas).ok()
    };
    Facts {
        owner: owner(look.object, cluster),
        cluster_id: root.id,
        bootstrapped: root.record.bootstrapped,
        etcd_ca: kit::tls::fingerprint(root.store.ca_pem()).unwrap_or_default(),
        proxy_replicas: seen.sets.get(&cluster.name.proxy()).and_then(replicas),
        mx_leaving: leave::leaving(cluster, seen),
        mx_shut: BTreeSet::new(),
        secrets: BTreeMap::new(),
    }
}

pub(crate) fn owner(object: &MailCluster, cluster: &Cluster) -> Owner {
    Owner {
        name: cluster.name.clone(),
        uid: object.uid().unwrap_or_default(),
    }
}

/// Puts the content of all Secrets of certificates where the builders take it from.
async fn secrets(
    look: &Look<'_>,
    root: &Root,
    facts: &mut Facts,
    outcome: &mut Outcome,
) -> Option<PublicState> {
    let Look {
        ctx, cluster, seen, ..
    } = look;
    let now = SystemTime::now();
    let proxies = facts.proxies(cluster);
    let nothing = identities::Data::new();
    let found = |secret: &SecretOf| {
        let found = seen.secrets.get(&secret.name(&cluster.name));
        found.unwrap_or(&nothing)
    };
    let mut wanted = identities::folders(cluster, proxies);
    wanted.extend(facts.mx_leaving.iter().copied().map(SecretOf::Mx));
    for secret in wanted {
        let found = found(&secret);
        let made = identities::folder(&secret, cluster, proxies, root, found, ctx.lifetimes, now);
        if let Some(files) = outcome.note(made) {
            facts.secrets.insert(secret, Files(files));
        }
    }
    let brought = brought(ctx, cluster, outcome).await?;
    let (host, found) = (&cluster.hostname, found(&SecretOf::Public));
    let public = identities::public(host, &brought, found, root, ctx.lifetimes, now);
    let (files, state) = outcome.note(public)?;
    facts.secrets.insert(SecretOf::Public, Files(files));
    Some(state)
}

/// The Secrets that people bring; none: whether they are there is not known now.
async fn brought(ctx: &Ctx, cluster: &Cluster, outcome: &mut Outcome) -> Option<Vec<Brought>> {
    let api: Api<Secret> = Api::namespaced(ctx.client.clone(), &cluster.namespace);
    let mut brought = Vec::new();
    for name in &cluster.certificates {
        let found = outcome.note(api.get_opt(name).await)?;
        brought.push(Brought {
            secret: name.clone(),
            data: found.map(identities::data),
        });
    }
    Some(brought)
}

/// Which certificates of which Secrets are others than those that are there.
fn renewed(look: &Look<'_>, facts: &Facts) -> BTreeMap<Key, Vec<String>> {
    let Look { cluster, seen, .. } = look;
    let of = |(secret, files): (&SecretOf, &Files)| {
        let name = secret.name(&cluster.name);
        let renewed = identities::renewed(seen.secrets.get(&name)?, &files.0);
        Some((Key::new(Kind::Secret, &cluster.namespace, name), renewed))
    };
    facts.secrets.iter().filter_map(of).collect()
}

fn next_due(ctx: &Ctx, cluster: &Cluster, facts: &Facts) -> Option<SystemTime> {
    let due = facts.secrets.iter().filter_map(|(secret, files)| {
        identities::next_due(secret, cluster, &files.0, ctx.lifetimes)
    });
    due.min()
}

/// What shards consist of that have an object.
struct Shards {
    claims: Vec<Object>,
    /// Their StatefulSets, and what each shard is to be, by their numbers.
    sets: Vec<(Object, Of)>,
}

/// Their volumes are made while they are not being deleted.
fn shards(look: &Look<'_>, view: Option<&View>, owner: &Owner) -> Result<Shards, Failed> {
    let Look { cluster, seen, .. } = look;
    // One whose spec is wrong says so itself.
    let mut found: Vec<_> = seen
        .shards
        .iter()
        .filter_map(|object| Some((object, shard::Shard::of(object, cluster).ok()?)))
        .collect();
    found.sort_by_key(|(_, shard)| shard.ordinal);
    let info = |object: &MailboxShard| view.and_then(|view| view.shard(&object.name_any()));
    let counted = found.iter().filter(|(_, shard)| shard.counted);
    let counted: Vec<_> = counted
        .map(|(object, shard)| Counted::new(shard.ordinal, *object, shard.mode, info(object)))
        .collect();
    let leaving = choose(&counted, cluster.shards);
    let mut shards = Shards {
        claims: Vec::new(),
        sets: Vec::new(),
    };
    for (object, shard) in found {
        let is_deleted = object.metadata.deletion_timestamp.is_some();
        let wish = Wish::of(shard.mode, is_deleted || leaving.contains(&shard.ordinal));
        let Prepared { objects, claims } = shard::build::build(cluster, &shard, owner, None)?;
        let sets = objects.into_iter().map(|set| (set, Of::Shard(wish)));
        shards.sets.extend(sets);
        if !is_deleted {
            shards.claims.extend(claims);
        }
    }
    Ok(shards)
}
