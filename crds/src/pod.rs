//! What people say of a tier's pods.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::is_default;
use crate::rules::rule;
use crate::schemas;

/// How pods are made, beside what the operator decides. A change restarts them one after the other.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// More labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schemas::labels")]
    #[x_kube(validation = rule(
        "self.all(key, !key.startsWith('app.kubernetes.io/') && !key.startsWith('buzonera.dev/'))",
        "pod.labels: labels that begin with app.kubernetes.io/ or buzonera.dev/ are the operator's",
    ))]
    pub labels: BTreeMap<String, String>,
    /// More annotations, for example one that keeps a service mesh out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schemas::annotations")]
    #[x_kube(validation = rule(
        "self.all(key, !key.startsWith('buzonera.dev/'))",
        "pod.annotations: annotations that begin with buzonera.dev/ are the operator's",
    ))]
    pub annotations: BTreeMap<String, String>,
    /// What the container asks for and may use. Left out: requests that fit the tier, no limits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resources: Resources,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schemas::labels")]
    pub node_selector: BTreeMap<String, String>,
    /// As in a pod; what Kubernetes refuses of it stands in the conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::opaque_list")]
    pub tolerations: Vec<Value>,
    /// As in a pod; what Kubernetes refuses of it stands in the conditions. Left out: the pods of a
    /// tier keep apart where nodes allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schemas::opaque")]
    pub affinity: Option<Value>,
    /// As in a pod; what Kubernetes refuses of it stands in the conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schemas::opaque_list")]
    pub topology_spread_constraints: Vec<Value>,
    /// The PriorityClass of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
}

/// What a container asks for and may use.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What a node must have free, for example {cpu: 500m, memory: 1Gi}.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schemas::quantities")]
    pub requests: BTreeMap<String, IntOrString>,
    /// What the container may use at most. A limit of memory ends whoever passes it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schemas::quantities")]
    pub limits: BTreeMap<String, IntOrString>,
}
