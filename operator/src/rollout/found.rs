//! StatefulSets as a rollout sees them: by what is wanted, what is there, and its pods.

use std::sync::Arc;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;
use wire::rpc::{ShardInfo, ShardState};

use super::{Instance, Part, Restarted, Standing, Template, standing};
use crate::apply::template;
use crate::names::{Tier, annotations};
use crate::objects::Object;
use crate::shard::build::is_stopped;
use crate::shard::decide::Wish;

/// A StatefulSet that is there and wanted.
pub(crate) struct Found {
    /// As it is wanted.
    pub(crate) wanted: Object,
    /// As it is.
    pub(crate) live: Arc<DynamicObject>,
    /// Its pods.
    pub(crate) pods: Vec<Arc<DynamicObject>>,
    /// What it is of.
    pub(crate) of: Of,
}

/// What a StatefulSet is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// A tier, or one of a tier, that is wanted.
    Tier,
    /// One of a tier that is not wanted any more.
    Leaving,
    /// A shard.
    Shard(Wish),
}

impl Found {
    /// Its tier.
    pub(crate) fn tier(&self) -> Tier {
        self.wanted.place().tier
    }

    /// As a rollout sees it. `info`: what the directory says, if it is a shard.
    pub(crate) fn instance(&self, info: Option<&ShardInfo>) -> Instance {
        let is_taken = match self.of {
            Of::Tier | Of::Leaving => false,
            Of::Shard(_) => self
                .restarted()
                .is_some_and(|it| it.is_taken(self.revision(), info)),
        };
        Instance {
            name: self.wanted.name().to_owned(),
            tier: self.tier(),
            part: self.part(info),
            template: match template::differs(&self.wanted, &self.live) {
                Some(_) => Template::Outdated,
                None if is_taken || !self.is_proven() => Template::Trial,
                None => Template::Current,
            },
            standing: match (self.of, self.is_ready()) {
                (Of::Shard(_), is_ready) => standing(info, is_ready, is_taken),
                (Of::Tier | Of::Leaving, true) => Standing::Up,
                (Of::Tier | Of::Leaving, false) => Standing::Down,
            },
            is_taken,
        }
    }

    /// As it is applied when it is not its turn.
    pub(crate) fn kept(self) -> Object {
        template::keep(self.wanted, &self.live)
    }

    /// As it is applied when it is its turn: as it was decided by.
    pub(crate) fn turned(mut self, info: Option<&ShardInfo>) -> Object {
        match self.of {
            Of::Shard(_) => {
                let revision = self.status("updateRevision").and_then(Value::as_str);
                let revision = revision.unwrap_or_default().to_owned();
                let noted = Restarted::now(self.restarted().as_ref(), revision, info);
                self.wanted
                    .annotate(annotations::RESTARTED, &noted.to_string());
            }
            Of::Tier | Of::Leaving => {}
        }
        self.wanted.decided_by(&self.live);
        self.wanted
    }

    fn part(&self, info: Option<&ShardInfo>) -> Part {
        let wish = match self.of {
            Of::Tier => return Part::Stays,
            Of::Leaving => return Part::Leaves,
            Of::Shard(wish) => wish,
        };
        match info.map(ShardInfo::state) {
            Some(ShardState::Retired | ShardState::Lost) => return Part::Gone,
            Some(
                ShardState::Active
                | ShardState::Cordoned
                | ShardState::Draining
                | ShardState::Unspecified,
            )
            | None => {}
        }
        let (to_stop, has_stopped) = (is_stopped(self.wanted.value()), is_stopped(&self.live.data));
        match wish {
            _ if to_stop != has_stopped => Part::Ordered,
            _ if to_stop => Part::Stopped,
            Wish::Leaving => Part::Leaves,
            Wish::Active | Wish::Cordoned | Wish::Drained | Wish::Stopped => Part::Stays,
        }
    }

    fn restarted(&self) -> Option<Restarted> {
        self.live
            .annotations()
            .get(annotations::RESTARTED)?
            .parse()
            .ok()
    }

    fn status(&self, field: &str) -> Option<&Value> {
        self.live.data.get("status")?.get(field)
    }

    /// The revision that pods are to have; none: Kubernetes has not seen the last change yet.
    fn revision(&self) -> Option<&str> {
        let observed = self.status("observedGeneration")?.as_i64()?;
        let is_seen = observed >= self.live.metadata.generation.unwrap_or(0);
        self.status("updateRevision")?.as_str().filter(|_| is_seen)
    }

    /// Whether all pods came up once with the revision that they are to have, and none has another;
    /// or there never was another, so that nothing restarts.
    fn is_proven(&self) -> bool {
        let proven = self.status("currentRevision").and_then(Value::as_str);
        let (Some(proven), Some(revision)) = (proven, self.revision()) else {
            return proven.is_none() && self.pods.is_empty();
        };
        let mut staying = self.pods.iter().filter(|pod| stays(pod));
        proven == revision && staying.all(|pod| has(pod, revision))
    }

    /// Whether as many pods as are wanted are ready.
    fn is_ready(&self) -> bool {
        let wanted = self
            .live
            .data
            .pointer("/spec/replicas")
            .and_then(Value::as_u64);
        let ready = self.pods.iter().filter(|pod| stays(pod) && is_ready(pod));
        let ready = u64::try_from(ready.count()).unwrap_or(u64::MAX);
        ready >= wanted.unwrap_or(1) && self.pods.iter().all(|pod| stays(pod))
    }
}

/// The label of a pod with its StatefulSet's revision.
const REVISION: &str = "controller-revision-hash";

fn has(pod: &DynamicObject, revision: &str) -> bool {
    pod.labels().get(REVISION).is_some_and(|it| it == revision)
}

fn stays(pod: &DynamicObject) -> bool {
    pod.metadata.deletion_timestamp.is_none()
}

fn is_ready(pod: &DynamicObject) -> bool {
    super::words::condition(pod, "Ready").is_some_and(|it| it["status"] == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::names::labels::Instance as Which;
    use crate::objects::{Kind, Place};

    fn set(image: &str, args: &[&str]) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "a-0", "namespace": "mail", "generation": 2,
                "resourceVersion": "9"},
            "spec": {"replicas": 1, "template": {"spec": {"containers":
                [{"name": "storage", "image": image, "args": args}]}}},
            "status": {"observedGeneration": 2, "currentRevision": "r1",
                "updateRevision": "r1"}})
    }

    fn pod(revision: &str, is_ready: bool) -> Arc<DynamicObject> {
        let status = if is_ready { "True" } else { "False" };
        let pod = json!({"metadata": {"name": "a-0-0", "labels": {REVISION: revision}},
            "status": {"conditions": [{"type": "Ready", "status": status}]}});
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn found(wanted: Value, live: Value, pods: Vec<Arc<DynamicObject>>) -> Found {
        let place = Place {
            tier: Tier::Storage,
            instance: Which::Shard(0),
        };
        Found {
            wanted: Object::new(Kind::StatefulSet, place, wanted),
            live: Arc::new(serde_json::from_value(live).unwrap()),
            pods,
            of: Of::Shard(Wish::Active),
        }
    }

    fn serving(incarnation: u64) -> ShardInfo {
        ShardInfo {
            state: ShardState::Active.into(),
            incarnation,
            serving: true,
            live: true,
            ..ShardInfo::default()
        }
    }

    fn seen(found: &Found, info: &ShardInfo) -> (Part, Template, Standing) {
        let instance = found.instance(Some(info));
        (instance.part, instance.template, instance.standing)
    }

    #[test]
    fn from_one_template_to_the_next() {
        use Part::Stays;
        let (old, new, info) = (set("old", &[]), set("new", &[]), serving(7));
        let before = found(new.clone(), old.clone(), vec![pod("r1", true)]);
        let outdated = (Stays, Template::Outdated, Standing::Up);
        assert_eq!(seen(&before, &info), outdated);
        let turned = before.turned(Some(&info));
        assert_eq!(turned.version(), Some("9"));

        // Applied, and not seen by Kubernetes; then its pod is the old one, the new one, ready.
        let mut live = turned.into_value();
        live["metadata"]["generation"] = 3.into();
        live["status"] = old["status"].clone();
        let trial = |standing| (Stays, Template::Trial, standing);
        let unseen = found(new.clone(), live.clone(), vec![pod("r1", true)]);
        assert_eq!(seen(&unseen, &info), trial(Standing::Down));
        live["status"]["observedGeneration"] = 3.into();
        live["status"]["updateRevision"] = "r2".into();
        for (pods, word) in [(vec![pod("r1", true)], &info), (vec![], &info)] {
            let found = found(new.clone(), live.clone(), pods);
            assert_eq!(seen(&found, word), trial(Standing::Down));
        }
        // Ready, while the directory still speaks of the old process.
        live["status"]["currentRevision"] = "r2".into();
        let ready = found(new.clone(), live.clone(), vec![pod("r2", true)]);
        assert_eq!(seen(&ready, &info), trial(Standing::Down));
        let done = (Stays, Template::Current, Standing::Up);
        assert_eq!(seen(&ready, &serving(8)), done);
        // Whatever is applied later keeps the note.
        let kept = ready.kept();
        assert_eq!(
            kept.value()["metadata"]["annotations"],
            json!({"buzonera.dev/restarted": "r1/7"})
        );
    }

    #[test]
    fn a_template_that_differs_only_for_us_restarts_nothing() {
        let mut live = set("new", &[]);
        live["metadata"]["annotations"] = json!({"buzonera.dev/restarted": "r1/7"});
        let same = found(set("new", &[]), live, vec![pod("r1", true)]);
        let current = (Part::Stays, Template::Current, Standing::Up);
        assert_eq!(seen(&same, &serving(7)), current);
    }

    #[test]
    fn a_revision_that_was_given_up_is_on_trial_until_its_pods_are_gone() {
        let back = found(set("old", &[]), set("old", &[]), vec![pod("r2", false)]);
        let trial = (Part::Stays, Template::Trial, Standing::Unsure);
        assert_eq!(seen(&back, &serving(7)), trial);
    }

    #[test]
    fn what_kubernetes_has_not_seen_yet_does_not_restart() {
        let mut live = set("new", &[]);
        live.as_object_mut().unwrap().remove("status");
        let fresh = found(set("new", &[]), live, vec![]);
        let current = (Part::Stays, Template::Current, Standing::Down);
        assert_eq!(seen(&fresh, &ShardInfo::default()), current);
    }

    #[test]
    fn what_was_ordered_goes_at_once_and_what_stands_still_is_left_alone() {
        let (runs, stopped) = (set("old", &[]), set("old", &["--stopped=true"]));
        let newer = set("new", &["--stopped=true"]);
        let part = |wanted: &Value, live: &Value, wish| {
            let mut found = found(wanted.clone(), live.clone(), vec![]);
            found.of = Of::Shard(wish);
            found.instance(Some(&serving(7))).part
        };
        assert_eq!(part(&stopped, &runs, Wish::Stopped), Part::Ordered);
        assert_eq!(part(&runs, &stopped, Wish::Active), Part::Ordered);
        assert_eq!(part(&newer, &stopped, Wish::Stopped), Part::Stopped);
        assert_eq!(part(&runs, &runs, Wish::Drained), Part::Stays);
        assert_eq!(part(&runs, &runs, Wish::Leaving), Part::Leaves);
        assert_eq!(part(&newer, &stopped, Wish::Leaving), Part::Stopped);
    }

    #[test]
    fn what_has_left_is_gone() {
        for (state, expected) in [
            (ShardState::Active, Part::Stays),
            (ShardState::Draining, Part::Stays),
            (ShardState::Retired, Part::Gone),
            (ShardState::Lost, Part::Gone),
        ] {
            let info = ShardInfo {
                state: state.into(),
                ..ShardInfo::default()
            };
            let found = found(set("old", &[]), set("old", &[]), vec![]);
            assert_eq!(found.instance(Some(&info)).part, expected, "{state:?}");
        }
    }
}
