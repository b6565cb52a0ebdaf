//! Makes a cluster what its MailCluster says.
//!
//! | # | step | if the operator dies after it |
//! |---|---|---|
//! | 1 | the root, NAME-ca, is created: only where there is no volume and no pod of the cluster | it is read |
//! | 2 | certificates, ConfigMaps, Services, budgets are applied | what lacks is applied |
//! | 3 | each volume: noted as planned, created, noted as made | planned: looked up, or created; made and missing is lost |
//! | 4 | etcd and the directory are applied; the directory says when its store is there, and empty | it is waited for |
//! | 5 | the empty store is made ours, if none ever was | it answers that it is ours |
//! | 6 | that is noted; from then on no etcd member begins a new store | the store is ours: noted |
//! | 7 | domains and limits are told | they are told again |
//! | 8 | shards that the directory knows and that have no object get one; then missing ones are allocated | the shard has no object: it gets one |
//! | 9 | proxy and mx are applied, from step 6 on | what lacks is applied |
//!
//! From step 6 on, a template that changed reaches one StatefulSet after the other ([`rollout`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::MailCluster;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use wire::ids::RequestId;

use super::{Cluster, validate};
use crate::context::{Ctx, Shared};
use crate::directory::Of;
use crate::names::ClusterName;
use crate::rebalance::Wish;
use crate::root::{self, Record};

mod claims;
mod leave;
pub(crate) mod live;
mod lost;
mod objects;
mod observe;
mod plans;
mod refused;
mod report;
mod rollout;
mod tell;

pub(crate) use objects::owner;
pub(crate) use observe::{is_paused, pinned};

use observe::{Seen, observe};
use report::Outcome;

/// What a look at a cluster knows from its beginning.
struct Look<'a> {
    ctx: &'a Ctx,
    object: &'a MailCluster,
    cluster: Cluster,
    seen: Seen,
}

/// Why a look has to be repeated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// The status was not written, or a live look failed.
    #[error(transparent)]
    Api(#[from] Box<kube::Error>),
    /// An object cannot be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl From<kube::Error> for Failed {
    fn from(error: kube::Error) -> Self {
        Self::Api(Box::new(error))
    }
}

/// Until the directory was looked at for the first time.
const LOOKING: Duration = Duration::from_secs(1);

/// While something is awaited.
const AWAITED: Duration = Duration::from_secs(60);

/// While nothing is.
const QUIET: Duration = Duration::from_secs(600);

/// One look.
pub(crate) async fn reconcile(object: Arc<MailCluster>, ctx: Shared) -> Result<Action, Failed> {
    let began = Instant::now();
    let done = look(&object, &ctx).await;
    ctx.metrics
        .looked("MailCluster", began.elapsed(), done.is_ok());
    done
}

async fn look(followed: &MailCluster, ctx: &Ctx) -> Result<Action, Failed> {
    let namespace = followed.namespace().unwrap_or_default();
    let Ok(name) = followed.name_any().parse::<ClusterName>() else {
        // The API server refuses such names; one that is there is nobody's.
        return Ok(Action::await_change());
    };
    let of = (namespace, name);
    let is_going = followed.metadata.deletion_timestamp.is_some();
    // What was followed may be old: its spec, or that it is there at all.
    let live = match is_going {
        true => None,
        false => live::cluster(&ctx.client, &of).await?,
    };
    let Some(object) = live else {
        forget(ctx, &of);
        return Ok(Action::await_change());
    };
    wake_shards(ctx, followed, &of);
    look_at(&object, &of, ctx).await
}

/// Whatever has an owner goes with it; volumes, root and MailboxShards stay.
fn forget(ctx: &Ctx, of: &Of) {
    ctx.directories.forget(of);
    ctx.rebalancers.forget(of);
    ctx.rollouts.lock().remove(of);
    ctx.specs.lock().remove(of);
}

async fn look_at(object: &MailCluster, of: &Of, ctx: &Ctx) -> Result<Action, Failed> {
    let (namespace, name) = of;
    let whose = (name, namespace.as_str());
    let found = root::find(&ctx.client, whose).await;
    let record = found.as_ref().ok().and_then(Option::as_ref);
    let seen = observe(ctx, object, of, record.map(|root| &root.record));
    let cluster = match validate(object, &ctx.operator, seen.pinned.as_ref()) {
        Ok(cluster) => cluster,
        Err(invalid) => return report::invalid(ctx, object, &seen, &invalid).await,
    };
    let root = match found {
        Ok(None) => {
            let fresh = Record::new(cluster.release.to_string(), cluster.registry.clone());
            root::make(&ctx.client, &ctx.cache, &ctx.metrics, whose, &fresh).await
        }
        found => found,
    };
    let mut root = match root {
        Ok(Some(root)) => root,
        // Another operator was first, and may have decided otherwise.
        Ok(None) => return Ok(Action::requeue(LOOKING)),
        Err(error) => return report::no_root(ctx, object, &seen, error).await,
    };
    let look = Look {
        ctx,
        object,
        cluster,
        seen,
    };
    let mut outcome = Outcome::default();
    let view = outcome.note(ctx.directories.view(of, &root));
    let known = view.as_ref().and_then(Option::as_deref);
    let mut applied = objects::apply(&look, &mut root, known, &mut outcome).await?;
    // Before the first look nothing is known, and nothing is said.
    let Some(Some(view)) = view else {
        return Ok(Action::requeue(LOOKING));
    };
    tell::tell(&look, &mut root, &view, &mut outcome).await;
    lost::replace(&look, &mut outcome).await;
    outcome.leaving = leave::leave(&look, &root, &mut outcome).await;
    let wish = Wish {
        rebalance: look.cluster.rebalance,
        is_paused: look.seen.is_paused,
        plan: plans::standing(&look),
        since_ms: plans::since_ms(&look),
    };
    outcome.moves = ctx.rebalancers.wish(of, wish);
    outcome.refused = refused::ask(&look, applied.rollout.as_mut()).await;
    report::report(&look, &root, &view, &applied, &outcome).await
}

/// Shards follow much of their cluster's spec, and nothing of theirs changes when it does: they are
/// woken once for each that was followed, as they see it.
fn wake_shards(ctx: &Ctx, followed: &MailCluster, of: &Of) {
    let spec = (followed.metadata.generation, is_paused(followed));
    let before = ctx.specs.lock().insert(of.clone(), spec);
    if before != Some(spec) {
        ctx.directories.tell(of);
    }
}

/// When to look again: where nothing is awaited, give or take a fifth, so that clusters do not look
/// all at once.
fn again(is_settled: bool) -> Action {
    let by_chance = u32::from(RequestId::random().as_bytes()[0]);
    Action::requeue(match is_settled {
        true => QUIET * (400 + by_chance * 200 / 255) / 500,
        false => AWAITED,
    })
}
