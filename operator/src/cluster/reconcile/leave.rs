//! Those mx that are too many leave, one step a look; the table is in [`crate::mx`].

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::Api;

use super::observe::Seen;
use super::report::Outcome;
use super::{Look, live};
use crate::apply::delete;
use crate::cluster::Cluster;
use crate::conditions::{Holds, Said};
use crate::directory::Caller;
use crate::mx::{self, Step, Wait};
use crate::names::labels::{self, Instance};
use crate::names::{ClusterName, SecretOf, Tier, annotations};
use crate::objects::Kind;
use crate::root::Root;

/// Between two looks while one leaves.
pub(super) const LEAVING: Duration = Duration::from_secs(5);

/// The most mx that a spec may ask for.
const MOST: u32 = 100;

/// How many of them are told of.
const TOLD: usize = 5;

/// One that leaves, and what it is waited for; none: it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaving {
    name: String,
    waits: Option<Wait>,
}

/// The numbers of those that are too many and still there.
pub(super) fn leaving(cluster: &Cluster, seen: &Seen) -> BTreeSet<u32> {
    let is_there = |ordinal: &u32| seen.sets.contains_key(&cluster.name.mx(*ordinal));
    (cluster.mx.replicas..MOST).filter(is_there).collect()
}

/// Opens the doors of those that were to leave and are wanted again; the numbers of those whose doors
/// may still be shut.
pub(super) async fn open(look: &Look<'_>, root: &Root, outcome: &mut Outcome) -> BTreeSet<u32> {
    let Look {
        ctx, cluster, seen, ..
    } = look;
    let was_leaving = |ordinal: &u32| is_marked(seen, &cluster.name, *ordinal);
    let mut shut: BTreeSet<u32> = (0..cluster.mx.replicas).filter(was_leaving).collect();
    if shut.is_empty() || seen.is_paused {
        return shut;
    }
    let Some(caller) = outcome.note(Caller::new(root, SystemTime::now())) else {
        return shut;
    };
    for ordinal in shut.clone() {
        let opened = mx::shut(&ctx.cache, cluster, &caller, (ordinal, false)).await;
        if outcome.note(opened).flatten().is_some() {
            shut.remove(&ordinal);
        }
    }
    shut
}

/// The next step of each that leaves.
pub(super) async fn leave(look: &Look<'_>, root: &Root, outcome: &mut Outcome) -> Vec<Leaving> {
    let Look { cluster, seen, .. } = look;
    let ordinals = leaving(cluster, seen);
    if seen.is_paused {
        return Vec::new();
    }
    clear(look, outcome).await;
    if ordinals.is_empty() {
        return Vec::new();
    }
    let Some(caller) = outcome.note(Caller::new(root, SystemTime::now())) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for ordinal in ordinals {
        let waits = step(look, &caller, ordinal, outcome).await;
        let name = cluster.name.mx(ordinal);
        all.push(Leaving { name, waits });
    }
    all
}

/// What it is waited for; none: it goes.
async fn step(
    look: &Look<'_>,
    caller: &Caller,
    ordinal: u32,
    outcome: &mut Outcome,
) -> Option<Wait> {
    let Look {
        ctx, cluster, seen, ..
    } = look;
    // The mark first: so whoever wants it again knows whose door it opens.
    if !is_marked(seen, &cluster.name, ordinal) {
        return Some(Wait::Answer);
    }
    let told = mx::told(&ctx.cache, cluster, caller, ordinal).await;
    let mut next = mx::decide(outcome.note(told).flatten().as_ref());
    if next == Step::Shut {
        let shut = mx::shut(&ctx.cache, cluster, caller, (ordinal, true)).await;
        next = mx::decide(outcome.note(shut).flatten().as_ref());
    }
    match next {
        Step::Wait(wait) => Some(wait),
        // It was opened again meanwhile.
        Step::Shut => Some(Wait::Answer),
        Step::Remove => match outcome.note(remove(look, ordinal).await) {
            Some(true) => None,
            Some(false) | None => Some(Wait::Answer),
        },
    }
}

/// True: it goes. Not while the spec that was looked at is another by now.
async fn remove(look: &Look<'_>, ordinal: u32) -> Result<bool, kube::Error> {
    let Look {
        ctx,
        object,
        cluster,
        ..
    } = look;
    let namespace = &cluster.namespace;
    let of = (namespace.clone(), cluster.name.clone());
    let same = live::cluster(&ctx.client, &of).await?.is_some_and(|live| {
        let generation = live.metadata.generation;
        live.uid() == object.uid() && generation == object.metadata.generation
    });
    if !same {
        return Ok(false);
    }
    let name = cluster.name.mx(ordinal);
    delete::<StatefulSet>(ctx, Kind::StatefulSet, namespace, &name).await?;
    let note = format!("{name} has left; its volume stays as the PersistentVolumeClaim {name}");
    ctx.event(*object, "MxRemoved", note).await;
    Ok(true)
}

/// Takes the certificates of those that have left.
async fn clear(look: &Look<'_>, outcome: &mut Outcome) {
    let Look { cluster, seen, .. } = look;
    let secret = |ordinal: u32| SecretOf::Mx(ordinal).name(&cluster.name);
    for ordinal in cluster.mx.replicas..MOST {
        let has_left = !seen.sets.contains_key(&cluster.name.mx(ordinal));
        if has_left && seen.secrets.contains_key(&secret(ordinal)) {
            outcome.note(clear_one(look, ordinal).await);
        }
    }
}

/// Asked of the API server itself: a pod that still runs would find its certificate gone.
async fn clear_one(look: &Look<'_>, ordinal: u32) -> Result<(), kube::Error> {
    let Look { ctx, cluster, .. } = look;
    let (namespace, name) = (&cluster.namespace, cluster.name.mx(ordinal));
    let sets: Api<StatefulSet> = Api::namespaced(ctx.client.clone(), namespace);
    if sets.get_opt(&name).await?.is_some() {
        return Ok(());
    }
    let ours = labels::selector(&cluster.name, Tier::Mx, Instance::Ordinal(ordinal));
    let ours = labels::to_selector(&ours);
    let pods = ctx.cache.list_live(Kind::Pod, namespace, &ours);
    if pods.await?.is_empty() {
        let secret = SecretOf::Mx(ordinal).name(&cluster.name);
        delete::<Secret>(ctx, Kind::Secret, namespace, &secret).await?;
    }
    Ok(())
}

fn is_marked(seen: &Seen, name: &ClusterName, ordinal: u32) -> bool {
    let set = seen.sets.get(&name.mx(ordinal));
    set.is_some_and(|set| labels::is_true(set.annotations(), annotations::LEAVING))
}

/// What is told of them; none: nobody leaves.
pub(super) fn said(name: &ClusterName, leaving: &[Leaving]) -> Option<Said> {
    let (_, reason) = leaving.iter().map(Leaving::reason).max()?;
    let mut texts: Vec<_> = leaving.iter().take(TOLD).map(|it| it.text(name)).collect();
    if leaving.len() > TOLD {
        texts.push(format!("{} more leave", leaving.len() - TOLD));
    }
    Some(Said::new(
        "MxDrained",
        Holds::False,
        reason,
        texts.join("; "),
    ))
}

impl Leaving {
    /// What is waited for in one word; the higher number is the worse.
    fn reason(&self) -> (u8, &'static str) {
        match self.waits {
            Some(Wait::DeadLetters(_)) => (2, "DeadLetters"),
            Some(Wait::Answer) => (1, "Unreachable"),
            Some(Wait::Mail { .. }) | None => (0, "Draining"),
        }
    }

    fn text(&self, cluster: &ClusterName) -> String {
        let Self { name, waits } = self;
        match waits {
            None => format!("{name} is empty and goes"),
            Some(Wait::Answer) => format!("{name} does not answer, and may hold mail"),
            Some(Wait::Mail { pending, sessions }) => format!(
                "{name} takes no new mail; {pending} recipients wait, {sessions} sessions are open"
            ),
            Some(Wait::DeadLetters(dead)) => format!(
                "{name} holds {dead} recipients that were given up: show them with kubectl exec \
                 {}-0 -- buzonera spool --mx {name}-0.{}:7425 --mx-instance {name} list --dead, then \
                 retry or remove each",
                cluster.directory(),
                cluster.mx_rpc(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_the_reason() {
        let name: ClusterName = "a".parse().unwrap();
        let one = |ordinal: u32, waits| Leaving {
            name: name.mx(ordinal),
            waits,
        };
        let mail = Wait::Mail {
            pending: 2,
            sessions: 1,
        };
        let reason = |all: &[Leaving]| said(&name, all).map(|it| it.reason);
        assert_eq!(reason(&[]), None);
        assert_eq!(reason(&[one(1, None)]), Some("Draining"));
        assert_eq!(reason(&[one(1, Some(mail))]), Some("Draining"));
        let away = [one(1, Some(mail)), one(2, Some(Wait::Answer))];
        assert_eq!(reason(&away), Some("Unreachable"));
        let dead = [away[1].clone(), one(3, Some(Wait::DeadLetters(4)))];
        assert_eq!(reason(&dead), Some("DeadLetters"));
        let text = said(&name, &dead).unwrap().message;
        assert!(text.contains("--mx a-mx-3-0.a-mx-rpc:7425"), "{text}");
        let many: Vec<_> = (0..9).map(|ordinal| one(ordinal, None)).collect();
        let text = said(&name, &many).unwrap().message;
        assert!(text.ends_with("; 4 more leave"), "{text}");
    }
}
