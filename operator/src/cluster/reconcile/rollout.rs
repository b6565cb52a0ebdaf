//! Templates that changed, one StatefulSet after the other; the table is in [`crate::rollout`].
//!
//! All of a cluster is decided here, in the look at its MailCluster, of which there is one at a time:
//! shards too, whose other looks leave their templates as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use wire::rpc::StoreAlarm;

use super::Look;
use crate::conditions::{Holds, Said};
use crate::directory::{View, shards_now};
use crate::names::Tier;
use crate::names::labels::{self, Instance as Which, Labels};
use crate::objects::{Kind, Object};
use crate::rollout::{CALM, Found, Idle, Instance, Of, Part, Seen, Template, Times, Turns, Wait};
use crate::rollout::{turns, words};

/// How long what restarts in its turn is no reason to call the cluster not ready.
const RESTARTING: Duration = Duration::from_secs(120);

/// What is told of it: whether every pod is as the spec wants it.
pub(super) const UP_TO_DATE: &str = "UpToDate";

/// The reason for which nothing restarts any more.
pub(super) const HALTED: &str = "RolloutHalted";

/// How a rollout stands.
pub(super) struct Rollout {
    turns: Turns,
    idle: Idle,
    is_stuck: bool,
    /// How many still have another template, and stay.
    outdated: usize,
    /// Why whoever is waited for is not up, if it is known.
    why: Option<String>,
    deadline: Duration,
}

/// What is to be applied, and how the rollout stands.
pub(super) struct Gated {
    /// The cluster's own objects, and the StatefulSets of shards whose turn it is.
    pub(super) objects: Vec<Object>,
    /// None: nothing is known yet.
    pub(super) rollout: Option<Rollout>,
}

/// Takes the templates whose turn it is not out of what is to be applied. `shards`: their
/// StatefulSets, as they are wanted, and what each is to be.
///
/// What is not there yet is made whole, and before the directory's store is there nothing serves that
/// could be taken down: etcd's members need each other to come up.
pub(super) async fn gate(
    look: &Look<'_>,
    objects: Vec<Object>,
    shards: Vec<(Object, Of)>,
    (view, is_bootstrapped): (Option<&View>, bool),
) -> Gated {
    let mut gated = Gated {
        objects,
        rollout: None,
    };
    if !is_bootstrapped {
        return gated;
    }
    let (found, rest) = find(look, gated.objects, shards);
    gated.objects = rest;
    let mut now = BTreeSet::new();
    let mut fresh = None;
    if let Some(view) = view {
        let rollout = decide(look, &found, view);
        now.clone_from(&rollout.turns.now);
        // What cannot be undone is not decided by what was so some seconds ago.
        let is_shard = |it: &Found| it.tier() == Tier::Storage && now.contains(it.wanted.name());
        if found.iter().any(is_shard) && !look.seen.is_paused {
            let told = now_of(view).await;
            now = decide_again(&rollout, &found, &told);
            fresh = Some(told);
        }
        gated.rollout = Some(rollout);
    }
    for found in found {
        let has_turn = now.contains(found.wanted.name());
        match (has_turn, found.of) {
            (true, _) => {
                let told = fresh.as_ref();
                let info = told.and_then(|told| told.shard(found.wanted.name()));
                let turned = found.turned(info);
                gated.objects.push(turned);
            }
            (false, Of::Tier | Of::Leaving) => gated.objects.push(found.kept()),
            // Its own look applies it.
            (false, Of::Shard(_)) => {}
        }
    }
    gated
}

/// StatefulSets that are there, in their order, and all other objects.
fn find(
    look: &Look<'_>,
    objects: Vec<Object>,
    shards: Vec<(Object, Of)>,
) -> (Vec<Found>, Vec<Object>) {
    let (cache, cluster) = (&look.ctx.cache, &look.cluster);
    let ours = Labels::from([(labels::CLUSTER.to_owned(), cluster.name.to_string())]);
    let mut pods: BTreeMap<String, Vec<Arc<DynamicObject>>> = BTreeMap::new();
    for pod in cache.found(Kind::Pod, &cluster.namespace, &ours) {
        let owners = pod.owner_references();
        if let Some(owner) = owners
            .iter()
            .find(|it| it.kind == Kind::StatefulSet.as_str())
        {
            pods.entry(owner.name.clone()).or_default().push(pod);
        }
    }
    let of = |object: &Object| match (object.place().tier, object.place().instance) {
        (Tier::Mx, Which::Ordinal(ordinal)) if ordinal >= cluster.mx.replicas => Of::Leaving,
        (Tier::Etcd | Tier::Directory | Tier::Storage | Tier::Proxy | Tier::Mx, _) => Of::Tier,
    };
    let objects = objects.into_iter().map(|object| {
        let of = of(&object);
        (object, of)
    });
    let (mut found, mut rest) = (Vec::new(), Vec::new());
    for (wanted, of) in objects.chain(shards) {
        let live = match wanted.kind() {
            Kind::StatefulSet => cache.get(&wanted.key()),
            Kind::Secret
            | Kind::ConfigMap
            | Kind::Service
            | Kind::PodDisruptionBudget
            | Kind::PersistentVolumeClaim
            | Kind::Pod
            | Kind::MailboxShard => None,
        };
        match (live, of) {
            (Some(live), of) => found.push(Found {
                pods: pods.remove(wanted.name()).unwrap_or_default(),
                wanted,
                live,
                of,
            }),
            (None, Of::Tier | Of::Leaving) => rest.push(wanted),
            // Its own look makes it.
            (None, Of::Shard(_)) => {}
        }
    }
    (found, rest)
}

fn instances(found: &[Found], view: &View) -> Vec<Instance> {
    let instance = |it: &Found| it.instance(view.shard(it.wanted.name()));
    found.iter().map(instance).collect()
}

fn decide(look: &Look<'_>, found: &[Found], view: &View) -> Rollout {
    let instances = instances(found, view);
    let idle = idle(look, &instances);
    let deadline = look.ctx.progress_deadline;
    let is_stuck = idle.is_stuck(deadline);
    let turns = turns(&seen(&instances, view, idle, is_stuck));
    let outdated = instances.iter().filter(|it| {
        let is_outdated = it.template == Template::Outdated && !turns.now.contains(&it.name);
        is_outdated && it.part == Part::Stays
    });
    Rollout {
        outdated: outdated.count(),
        why: turns.waits.as_ref().and_then(|wait| why(wait, found, view)),
        turns,
        idle,
        is_stuck,
        deadline,
    }
}

fn decide_again(before: &Rollout, found: &[Found], view: &View) -> BTreeSet<String> {
    let instances = instances(found, view);
    turns(&seen(&instances, view, before.idle, before.is_stuck)).now
}

fn seen<'a>(instances: &'a [Instance], view: &View, idle: Idle, is_stuck: bool) -> Seen<'a> {
    let is_sound = |alarm: StoreAlarm| match alarm {
        StoreAlarm::Away | StoreAlarm::Corrupt | StoreAlarm::Failed => false,
        // A larger quota is a change of the template.
        StoreAlarm::Full | StoreAlarm::Unspecified => true,
    };
    Seen {
        instances,
        directory_tells: view.shards.is_some() && !view.stale,
        store_is_sound: view.alarms().into_iter().all(is_sound),
        calm: idle.calm,
        is_stuck,
    }
}

fn idle(look: &Look<'_>, instances: &[Instance]) -> Idle {
    let of = (look.cluster.namespace.clone(), look.cluster.name.clone());
    let mut rollouts = look.ctx.rollouts.lock();
    let now = Instant::now();
    let before = look.object.status.iter().flat_map(|it| &it.conditions);
    let mut before = before.filter(|it| it.type_ == UP_TO_DATE);
    let times = rollouts
        .entry(of)
        .or_insert_with(|| Times::begin(instances, before.any(|it| it.reason == HALTED), now));
    times.note(instances, now)
}

/// What the directory says at this moment. Should it say nothing, only what somebody ordered goes on.
async fn now_of(view: &View) -> View {
    let told = match &view.channel {
        Some(channel) => shards_now(channel).await,
        None => None,
    };
    let (shards, stale) = told.unzip();
    View {
        replicas: view.replicas.clone(),
        shards,
        stale: stale.unwrap_or(true),
        channel: None,
    }
}

/// What keeps whoever is waited for.
fn why(wait: &Wait, found: &[Found], view: &View) -> Option<String> {
    let name = match wait {
        Wait::Trial(name) | Wait::Up(name) => name,
        Wait::Calm | Wait::Directory | Wait::Store => return None,
    };
    let it = found.iter().find(|it| it.wanted.name() == name)?;
    if let Some(percent) = view.shard(name).and_then(crate::shard::recovering::percent) {
        return Some(format!("it rebuilds its index: {percent} %"));
    }
    let pods = it.pods.iter().find_map(|pod| words::why(pod));
    pods.or_else(|| match (it.pods.is_empty(), it.of) {
        (true, _) => Some("it has no pod".to_owned()),
        (false, Of::Shard(_)) => Some("it does not serve".to_owned()),
        (false, Of::Tier | Of::Leaving) => None,
    })
}

impl Rollout {
    /// Whether every pod is as the spec wants it.
    pub(super) fn said(&self, is_paused: bool) -> Said {
        let not = |reason, message: String| Said::new(UP_TO_DATE, Holds::False, reason, message);
        if !self.idle.is_under_way {
            return Said::new(UP_TO_DATE, Holds::True, "AllCurrent", "");
        }
        if self.is_stuck {
            return not(HALTED, self.halted());
        }
        let left = self.outdated;
        if is_paused {
            let text = format!("{left} are to restart once the cluster is not paused any more");
            return not("WaitingTurn", text);
        }
        let to_go = match left {
            0 => String::new(),
            left => format!(", {left} more are to restart"),
        };
        match &self.turns.waits {
            Some(Wait::Trial(name)) => not("RollingOut", format!("{name} restarts{to_go}")),
            None | Some(Wait::Calm) => not("RollingOut", format!("all are up{to_go}")),
            Some(Wait::Up(name)) => not("WaitingTurn", format!("{name} is not up{to_go}")),
            Some(Wait::Directory) => {
                let text = format!("the directory does not tell which shards serve{to_go}");
                not("WaitingTurn", text)
            }
            Some(Wait::Store) => not("WaitingTurn", format!("etcd is not well{to_go}")),
        }
    }

    /// The one that is waited for, if it is one.
    pub(super) fn waited(&self) -> Option<&str> {
        match &self.turns.waits {
            Some(Wait::Trial(name) | Wait::Up(name)) => Some(name),
            Some(Wait::Calm | Wait::Directory | Wait::Store) | None => None,
        }
    }

    /// Why it is not up, as somebody else knows.
    pub(super) fn explain(&mut self, why: &str) {
        self.why = Some(why.to_owned());
    }

    /// What goes beside it, for whoever waits for a release.
    pub(super) fn beside(&self) -> Option<Said> {
        if !self.idle.is_under_way {
            return None;
        }
        Some(match self.is_stuck {
            true => Said::new("Stalled", Holds::True, HALTED, self.halted()),
            false => {
                let text = "pods restart one after the other";
                Said::new("Reconciling", Holds::True, "RollingOut", text)
            }
        })
    }

    fn halted(&self) -> String {
        let why = self.why.as_deref().unwrap_or("it is not up");
        let what = match &self.turns.waits {
            Some(Wait::Trial(name) | Wait::Up(name)) => format!("{name}: {why}"),
            Some(Wait::Directory) => "the directory does not tell which shards serve".to_owned(),
            Some(Wait::Store) => "etcd is not well".to_owned(),
            Some(Wait::Calm) | None => "pods come and go".to_owned(),
        };
        let left = self.outdated;
        format!("{what}; nothing further restarts, and {left} more are to; mend the spec")
    }

    /// What is away since it restarts in its turn: for a while no reason to call the cluster not
    /// ready.
    pub(super) fn restarting(&self) -> Option<&str> {
        match &self.turns.waits {
            Some(Wait::Trial(name)) if self.idle.still < RESTARTING => Some(name),
            Some(Wait::Trial(_) | Wait::Up(_) | Wait::Calm | Wait::Directory | Wait::Store)
            | None => None,
        }
    }

    /// When the passing of time alone decides something; none: it does not.
    pub(super) fn next(&self) -> Option<Duration> {
        if !self.idle.is_under_way {
            return None;
        }
        let left = |of: Duration, gone: Duration| of.checked_sub(gone).filter(|it| !it.is_zero());
        let calm = left(CALM, self.idle.calm);
        let due = [
            calm,
            left(RESTARTING, self.idle.still),
            left(self.deadline, self.idle.still),
        ];
        due.into_iter().flatten().min()
    }
}

/// What people are told of how it went on: the reason of the Event, and its text.
pub(super) fn news(before: Option<(&str, &str)>, now: &Said) -> Option<(&'static str, String)> {
    let (was, reason) = before?;
    let is_halted = now.reason == HALTED;
    match now.holds {
        Holds::True if was != "True" => Some(("RolloutDone", "all pods are current".to_owned())),
        Holds::False if is_halted && reason != HALTED => Some((HALTED, now.message.clone())),
        Holds::False if was == "True" => Some(("RolloutStarted", now.message.clone())),
        Holds::True | Holds::False | Holds::Unknown => None,
    }
}
