//! Where images come from.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where images come from, and when they are fetched.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// The registry, for example registry.example.org/mail. Left out or empty: the operator's when
    /// this was first applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub registry: Option<String>,
    /// When a node fetches an image: IfNotPresent, Always or Never.
    #[serde(default)]
    pub pull_policy: PullPolicy,
    /// Secrets in this namespace with which nodes log in at the registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub pull_secrets: Vec<String>,
}

/// When a node fetches an image.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// When it has none of that name.
    #[default]
    IfNotPresent,
    /// At each start.
    Always,
    /// Never: it was brought there.
    Never,
}
