//! On which nodes pods run, and how long after a node's loss. What somebody wrote is passed on as it
//! stands, also what this program has never heard of.

use crds::pod::Pod;
use serde_json::{Value, json};

use crate::names::labels::Labels;

/// How long a pod stays bound to a node that is gone; Kubernetes would write 300 s.
const AWAY: u32 = 60;

/// The taints of a node that is gone.
const GONE: [&str; 2] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
];

/// Ours, and what somebody wrote; who writes about one of our taints decides about it.
pub(crate) fn tolerations(pod: &Pod) -> Vec<Value> {
    let is_written = |key: &str| pod.tolerations.iter().any(|written| written["key"] == key);
    let ours = GONE.into_iter().filter(|key| !is_written(key));
    let ours = ours.map(|key| {
        json!({
            "key": key,
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": AWAY,
        })
    });
    ours.chain(pod.tolerations.iter().cloned()).collect()
}

/// The pods of a tier keep apart where nodes allow it.
pub(crate) fn affinity(pod: &Pod, tier: &Labels) -> Value {
    let apart = || {
        json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
            "weight": 100,
            "podAffinityTerm": {
                "topologyKey": "kubernetes.io/hostname",
                "labelSelector": {"matchLabels": tier},
            },
        }]}})
    };
    pod.affinity.clone().unwrap_or_else(apart)
}

/// And so do those of a zone.
pub(crate) fn spread(pod: &Pod, tier: &Labels) -> Vec<Value> {
    if !pod.topology_spread_constraints.is_empty() {
        return pod.topology_spread_constraints.clone();
    }
    vec![json!({
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": tier},
    })]
}
