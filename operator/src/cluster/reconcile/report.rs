//! What is told of a cluster: its conditions, its numbers, and when to look again.

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crds::MailCluster;
use crds::mail_cluster::{MailClusterStatus, RebalanceStatus, Summary};
use kube::runtime::controller::Action;
use tonic::Status;

use super::leave::{self, LEAVING, Leaving};
use super::lost::Lost;
use super::objects::Tiers;
use super::observe::Seen;
use super::refused::Refused;
use super::rollout::{self, HALTED, Rollout, UP_TO_DATE};
use super::{AWAITED, Failed, Look, again, plans};
use crate::apply::NotApplied;
use crate::cluster::{Cluster, Invalid};
use crate::conditions::{Holds, REBALANCING, Said, conditions, warnings};
use crate::context::Ctx;
use crate::directory::{Reachable, View};
use crate::identities::PublicState;
use crate::rebalance::Told;
use crate::root::{Root, RootError};
use crate::status::{self, Over};

mod ready;
mod stalled;

/// The API server said no to an object, or to a pod.
pub(super) const REJECTED: &str = "Rejected";

/// Until what others wrote meanwhile was followed.
const OTHERS: Duration = Duration::from_secs(1);

/// What a look came to, beside what it changed.
#[derive(Default)]
pub(super) struct Outcome {
    /// What did not work now, and may the next time.
    pub(super) failed: Vec<String>,
    /// What the API server understood and refused, for people; the first is told.
    pub(super) rejected: Vec<String>,
    /// Volumes that were made and are gone.
    pub(super) lost: Vec<String>,
    /// A store that was ours is empty.
    pub(super) store_is_empty: bool,
    /// Pods of a machine that is lost, for which a person has to speak.
    pub(super) lost_pods: Option<Lost>,
    /// When something will be lost that may still come.
    pub(super) next: Option<Duration>,
    /// Why pods are not made, as far as somebody refuses them.
    pub(super) refused: Option<Refused>,
    /// What is told of moves.
    pub(super) moves: Option<Arc<Told>>,
    /// mx that leave.
    pub(super) leaving: Vec<Leaving>,
    /// Something was done after which the next thing can be done at once.
    pub(super) is_moving_on: bool,
}

impl Outcome {
    /// Keeps what worked, and remembers what did not.
    pub(super) fn note<T, E: Display>(&mut self, done: Result<T, E>) -> Option<T> {
        done.map_err(|error| {
            tracing::warn!(%error, "did not work; trying again");
            self.failed.push(error.to_string());
        })
        .ok()
    }

    /// Likewise, of an object that was written.
    pub(super) fn note_applied<T>(&mut self, done: Result<T, NotApplied>) -> Option<T> {
        match done {
            Err(error) if error.is_refusal() => {
                self.rejected.push(error.to_string());
                None
            }
            done => self.note(done),
        }
    }

    /// The directory said no, or nothing.
    pub(super) fn refused(&mut self, status: &Status) {
        self.failed.push(format!("directory: {}", status.message()));
    }

    pub(super) fn has_failed(&self) -> bool {
        !self.failed.is_empty() || !self.rejected.is_empty()
    }
}

/// A spec that cannot be acted on: what runs stays as it is.
pub(super) async fn invalid(
    ctx: &Ctx,
    object: &MailCluster,
    seen: &Seen,
    invalid: &Invalid,
) -> Result<Action, Failed> {
    let reason = invalid.reason();
    stopped(ctx, object, seen, reason, &invalid.to_string()).await?;
    Ok(Action::await_change())
}

/// Without a root nothing can be made.
pub(super) async fn no_root(
    ctx: &Ctx,
    object: &MailCluster,
    seen: &Seen,
    error: RootError,
) -> Result<Action, Failed> {
    let reason = match error {
        RootError::Missing { .. } | RootError::Damaged { .. } => "RootMissing",
        RootError::Authority(_) => REJECTED,
        RootError::Api { source, .. } => return Err(Failed::Api(source)),
    };
    stopped(ctx, object, seen, reason, &error.to_string()).await?;
    Ok(again(false))
}

async fn stopped(
    ctx: &Ctx,
    object: &MailCluster,
    seen: &Seen,
    reason: &'static str,
    message: &str,
) -> Result<(), Failed> {
    let before = object.status.clone().unwrap_or_default();
    let ready = match reason {
        "InvalidSpec" => "InvalidSpec",
        _ => "Provisioning",
    };
    let mut said = vec![
        Said::new("Ready", Holds::False, ready, message),
        Said::new("Stalled", Holds::True, reason, message),
    ];
    said.extend(paused(seen));
    let is_news = !before
        .conditions
        .iter()
        .any(|it| it.type_ == "Stalled" && it.reason == reason);
    let written = MailClusterStatus {
        observed_generation: object.metadata.generation,
        conditions: conditions(
            &before.conditions,
            &said,
            object.metadata.generation,
            ctx.now(),
        ),
        ..before
    };
    status::write(ctx, object, object.status.as_ref(), &written, Over::Any).await?;
    if is_news {
        ctx.warning(object, reason, message).await;
    }
    Ok(())
}

fn paused(seen: &Seen) -> Option<Said> {
    let message =
        "the annotation buzonera.dev/pause is \"true\": nothing is changed, nothing moves";
    seen.is_paused
        .then(|| Said::new("Paused", Holds::True, "Annotated", message))
}

/// Writes the status, and says when to look again.
pub(super) async fn report(
    look: &Look<'_>,
    root: &Root,
    view: &View,
    tiers: &Tiers,
    outcome: &Outcome,
) -> Result<Action, Failed> {
    let Look {
        ctx,
        object,
        cluster,
        seen,
    } = look;
    let before = object.status.clone().unwrap_or_default();
    let rollout = tiers.rollout.as_ref();
    let restarting = rollout.and_then(Rollout::restarting);
    // What was not served before is not served because something restarts.
    let restarting = restarting.filter(|_| was_ready(&before));
    let ready = ready::ready(look, root, view, restarting, outcome);
    let is_through = rollout.is_none_or(|rollout| rollout.next().is_none());
    let is_settled = ready.holds == Holds::True && !outcome.has_failed() && is_through;
    let mut said = vec![ready];
    said.extend(rollout.map(|rollout| rollout.said(seen.is_paused)));
    let beside = rollout.and_then(Rollout::beside);
    match (stalled::stalled(cluster, view, outcome), beside) {
        (Some(stalled), Some(beside)) if beside.about == stalled.about => said.push(stalled),
        (stalled, beside) => said.extend(stalled.into_iter().chain(beside)),
    }
    if !root.record.bootstrapped {
        let text = "the directory's store is being made";
        said.push(Said::new("Reconciling", Holds::True, "Bootstrapping", text));
    }
    said.extend(paused(seen));
    said.extend(leave::said(&cluster.name, &outcome.leaving));
    said.push(reachable(view));
    let rebalance = plans::decided(look, outcome.moves.as_deref());
    said.extend(plans::said(look, outcome.moves.as_deref(), &rebalance));
    said.extend(tiers.public.as_ref().map(|state| public(cluster, state)));
    let generation = object.metadata.generation;
    let mut told = conditions(&before.conditions, &said, generation, ctx.now());
    if outcome.moves.is_none() {
        // Before the first round nothing is known: what was told last stays.
        let mut last = before.conditions.iter();
        told.extend(last.find(|it| it.type_ == REBALANCING).cloned());
    }
    told.sort_by(|one, other| one.type_.cmp(&other.type_));
    let written = MailClusterStatus {
        conditions: told,
        rebalance: (rebalance != RebalanceStatus::default()).then(|| rebalance.clone()),
        ..numbers(look, root, view, &before)
    };
    // What a plan is decided by stands in the status: nobody may have changed it meanwhile.
    let written = status::write(ctx, *object, object.status.as_ref(), &written, Over::Seen);
    let waits = match written.await {
        Err(kube::Error::Api(refused)) if refused.code == 409 => {
            return Ok(Action::requeue(OTHERS));
        }
        written => written?,
    };
    for (reason, note) in warnings(&before.conditions, &said) {
        ctx.warning(*object, reason, note).await;
    }
    tell_rollout(ctx, object, &before, &said).await;
    tell_moves(look, outcome, &before, &rebalance, &said).await;
    match waits && is_settled {
        true => Ok(Action::requeue(status::NUMBERS)),
        false => Ok(next_look(outcome, is_settled, cluster, tiers)),
    }
}

fn was_ready(before: &MailClusterStatus) -> bool {
    let ready = before.conditions.iter().find(|it| it.type_ == "Ready");
    ready.is_some_and(|it| it.status == "True")
}

/// Events of how a rollout goes on.
async fn tell_rollout(ctx: &Ctx, object: &MailCluster, before: &MailClusterStatus, said: &[Said]) {
    let mut before = before.conditions.iter();
    let before = before.find(|it| it.type_ == UP_TO_DATE);
    let before = before.map(|it| (it.status.as_str(), it.reason.as_str()));
    let now = said.iter().find(|it| it.about == UP_TO_DATE);
    match now.and_then(|now| rollout::news(before, now)) {
        Some((HALTED, note)) => ctx.warning(object, HALTED, note).await,
        Some((reason, note)) => ctx.event(object, reason, note).await,
        None => {}
    }
}

/// Events of how moves begin and end.
async fn tell_moves(
    look: &Look<'_>,
    outcome: &Outcome,
    before: &MailClusterStatus,
    now: &RebalanceStatus,
    said: &[Said],
) {
    let before = before.rebalance.clone().unwrap_or_default();
    let said = said.iter().find(|it| it.about == REBALANCING);
    let moved = outcome.moves.as_ref().and_then(|told| told.moved);
    if let Some((reason, note)) = plans::news(&before, now, said, moved) {
        look.ctx.event(look.object, reason, note).await;
    }
}

fn next_look(outcome: &Outcome, is_settled: bool, cluster: &Cluster, tiers: &Tiers) -> Action {
    if outcome.is_moving_on {
        return Action::requeue(Duration::from_millis(100));
    }
    if !outcome.leaving.is_empty() {
        return Action::requeue(LEAVING);
    }
    let next = tiers.rollout.as_ref().and_then(Rollout::next);
    if let Some(next) = next.into_iter().chain(outcome.next).min() {
        return Action::requeue(next.clamp(Duration::from_secs(1), AWAITED));
    }
    // Secrets that people bring are not followed, but asked for.
    if !is_settled || !cluster.certificates.is_empty() {
        return again(false);
    }
    let left = tiers.next_due.map(|due| {
        let left = due.duration_since(SystemTime::now());
        left.unwrap_or_default().max(Duration::from_secs(1))
    });
    match left {
        Some(left) if left < Duration::from_secs(480) => Action::requeue(left),
        Some(_) | None => again(true),
    }
}

fn reachable(view: &View) -> Said {
    let (holds, reason, message) = match view.reachable() {
        Reachable::Answering => (Holds::True, "Answering", ""),
        Reachable::Empty => (Holds::False, "NotLoaded", "its store is empty"),
        Reachable::NoStore => (Holds::False, "NotLoaded", "its store does not answer"),
        Reachable::Loading => (Holds::False, "NotLoaded", "it is loading the map"),
        Reachable::NoReplica => (Holds::False, "NoReplica", "no replica answers"),
    };
    Said::new("DirectoryReachable", holds, reason, message)
}

fn public(cluster: &Cluster, state: &PublicState) -> Said {
    let (holds, reason, message) = match state {
        PublicState::Provided => (Holds::True, "Provided", String::new()),
        PublicState::SelfSigned => (
            Holds::False,
            "SelfSigned",
            format!(
                "no mail program trusts the certificate for {}: name a Secret of type \
                 kubernetes.io/tls in tls.certificates",
                cluster.hostname
            ),
        ),
        PublicState::Missing(secret) => (
            Holds::False,
            "SecretMissing",
            format!("tls.certificates: the Secret {secret} is not there"),
        ),
        PublicState::Invalid(secret, why) => (
            Holds::False,
            "SecretInvalid",
            format!("tls.certificates: {secret}: {why}; what was good last is shown"),
        ),
        PublicState::ExpiresSoon(secret, days) => (
            Holds::False,
            "ExpiresSoon",
            format!("tls.certificates: {secret} ends in {days} days"),
        ),
    };
    Said::new("PublicCertificate", holds, reason, message)
}

/// As the directory tells them; what it does not tell now stays as it was.
fn numbers(
    look: &Look<'_>,
    root: &Root,
    view: &View,
    before: &MailClusterStatus,
) -> MailClusterStatus {
    let mut status = MailClusterStatus {
        observed_generation: look.object.metadata.generation,
        version: Some(look.cluster.release.to_string()),
        cluster_id: Some(root.id.to_string()),
        ..before.clone()
    };
    if view.shards.is_none() {
        return status;
    }
    let there: Vec<_> = view.shards_there().collect();
    let serving = there.iter().filter(|shard| shard.serving).count();
    let sum = |number: fn(&wire::rpc::ShardInfo) -> u64| {
        let total: u64 = there.iter().map(|shard| number(shard)).sum();
        i64::try_from(total).ok()
    };
    status.shards = i32::try_from(there.len()).ok();
    status.shards_serving = i32::try_from(serving).ok();
    status.summary = Some(Summary {
        shards: Some(format!("{serving}/{}", there.len())),
    });
    status.accounts = sum(|shard| shard.accounts);
    status.bytes = sum(|shard| shard.bytes);
    status.moves = sum(|shard| shard.moves_out);
    status
}
