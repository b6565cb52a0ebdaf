//! Pods of a machine that is lost: they are to end, and nobody is left there who could say that they
//! have. No right on nodes is needed to see it.
//!
//! | tier | what is done |
//! |---|---|
//! | directory, proxy | they keep nothing: the pod is deleted for good, and Kubernetes makes another elsewhere |
//! | etcd, storage, mx | two who write to one volume are worse than none: a person says that the machine is off |

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, DynamicObject};

use super::Look;
use super::report::Outcome;
use crate::apply::{exactly, unless_gone};
use crate::metrics::Verb;
use crate::names::Tier;
use crate::names::labels::{self, Labels};
use crate::objects::Kind;

/// A pod that should have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pending {
    pod: String,
    uid: Option<String>,
    node: String,
    tier: Tier,
}

/// Pods that wait for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    /// The node of the first.
    node: String,
    pods: Vec<String>,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, pods } = self;
        write!(
            f,
            "{} should have ended, and {node} does not say so: once that machine is off, type \
             `kubectl taint node {node} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute`, and \
             they start elsewhere; take the taint away when the machine is mended",
            pods.join(", ")
        )
    }
}

/// Replaces what may be replaced; whatever else is lost, and when to look again.
pub(super) async fn replace(look: &Look<'_>, outcome: &mut Outcome) {
    let Look { ctx, cluster, .. } = look;
    let ours = Labels::from([(labels::CLUSTER.to_owned(), cluster.name.to_string())]);
    let pods = ctx.cache.found(Kind::Pod, &cluster.namespace, &ours);
    let (pending, next) = pending(&pods, ctx.lost_after, ctx.now());
    outcome.next = next;
    let (stateless, keeping): (Vec<_>, Vec<_>) =
        pending.into_iter().partition(|pod| keeps_nothing(pod.tier));
    outcome.lost_pods = lost(&keeping);
    if look.seen.is_paused {
        return;
    }
    let api: Api<Pod> = Api::namespaced(ctx.client.clone(), &cluster.namespace);
    for pod in stateless {
        ctx.metrics.wrote(Kind::Pod.as_str(), Verb::Delete);
        let at_once = DeleteParams {
            grace_period_seconds: Some(0),
            ..exactly(pod.uid.clone())
        };
        let deleted = api.delete(&pod.pod, &at_once).await;
        if outcome.note(unless_gone(deleted.map(drop))).is_some() {
            let note = format!("{}: {} does not answer; another is made", pod.pod, pod.node);
            ctx.warning(look.object, "NodeLost", note).await;
        }
    }
}

/// Pods that should have ended for so long, and when the next one will be one of them.
fn pending(
    pods: &[Arc<DynamicObject>],
    patience: Duration,
    now: Timestamp,
) -> (Vec<Pending>, Option<Duration>) {
    let (mut found, mut next) = (Vec::new(), None);
    for pod in pods {
        // What is on no node ends at once.
        let node = pod.data["spec"]["nodeName"].as_str();
        // The API server adds the pod's own time to end.
        let ends = pod.metadata.deletion_timestamp.as_ref();
        let (Some(node), Some(ends), Some(tier)) = (node, ends, tier(pod)) else {
            continue;
        };
        let since = now.duration_since(ends.0);
        let since = Duration::try_from(since).unwrap_or_default();
        match patience.checked_sub(since) {
            None | Some(Duration::ZERO) => found.push(Pending {
                pod: pod.name_any(),
                uid: pod.uid(),
                node: node.to_owned(),
                tier,
            }),
            Some(left) => next = next.into_iter().chain([left]).min(),
        }
    }
    (found, next)
}

fn tier(pod: &DynamicObject) -> Option<Tier> {
    let tier = pod.labels().get(labels::TIER)?;
    Tier::ALL.into_iter().find(|it| it.as_str() == tier)
}

fn keeps_nothing(tier: Tier) -> bool {
    match tier {
        Tier::Directory | Tier::Proxy => true,
        Tier::Etcd | Tier::Storage | Tier::Mx => false,
    }
}

/// Those of one node; of another one is told when this one is settled.
fn lost(pending: &[Pending]) -> Option<Lost> {
    let node = pending.iter().map(|pod| &pod.node).min()?;
    let there = pending.iter().filter(|pod| pod.node == *node);
    Some(Lost {
        node: node.clone(),
        pods: there.map(|pod| pod.pod.clone()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, tier: &str, node: Option<&str>, ends: Option<&str>) -> Arc<DynamicObject> {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "uid": format!("uid of {name}"),
                "labels": {"buzonera.dev/tier": tier},
                "deletionTimestamp": ends,
            },
            "spec": {"nodeName": node},
        });
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_pod_is_lost_some_time_after_it_should_have_ended() {
        let patience = Duration::from_secs(60);
        let pods = [
            pod("a-0", "storage", Some("n1"), Some("2026-11-27T12:00:00Z")),
            pod("a-1", "storage", Some("n1"), None),
            pod("a-2", "storage", None, Some("2026-11-27T12:00:00Z")),
            pod(
                "a-proxy-0",
                "proxy",
                Some("n2"),
                Some("2026-11-27T12:00:10Z"),
            ),
            pod("other", "web", Some("n2"), Some("2026-11-27T12:00:00Z")),
        ];
        let names = |now: &str| {
            let (found, next) = pending(&pods, patience, at(now));
            let names: Vec<_> = found.into_iter().map(|it| it.pod).collect();
            (names.join(" "), next.map(|next| next.as_secs()))
        };
        let none = String::new();
        // It has not even had its time to end.
        assert_eq!(names("2026-11-27T11:59:30Z"), (none.clone(), Some(60)));
        assert_eq!(names("2026-11-27T12:00:59Z"), (none, Some(1)));
        assert_eq!(names("2026-11-27T12:01:00Z"), ("a-0".to_owned(), Some(10)));
        let both = "a-0 a-proxy-0".to_owned();
        assert_eq!(names("2026-11-27T12:01:10Z"), (both, None));
    }

    #[test]
    fn a_person_is_told_what_to_type() {
        let pending = |pod: &str, node: &str| Pending {
            pod: pod.to_owned(),
            uid: None,
            node: node.to_owned(),
            tier: Tier::Storage,
        };
        assert_eq!(lost(&[]), None);
        let found = [
            pending("a-0", "n1"),
            pending("a-1", "n2"),
            pending("a-mx-0", "n1"),
        ];
        let text = lost(&found).unwrap().to_string();
        let command =
            "`kubectl taint node n1 node.kubernetes.io/out-of-service=nodeshutdown:NoExecute`";
        assert!(text.starts_with("a-0, a-mx-0 should have ended"), "{text}");
        assert!(text.contains(command), "{text}");
    }
}
