//! What a shard is, as the operator sees it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::conditions;

/// What a shard is, as the operator saw it last.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MailboxShardStatus {
    /// The metadata.generation that this tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What the shard is to the directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ShardState>,
    /// Accounts that it owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<i64>,
    /// Octets of mail that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// How much of its volume is used, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_percent: Option<i32>,
    /// There while the shard rebuilds its index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovering: Option<Recovering>,
    /// Moves to it that are open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves_in: Option<i64>,
    /// Moves from it that are open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves_out: Option<i64>,
    /// The release that its pod runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The node that its pod is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The id that its volume carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36))]
    pub volume_id: Option<String>,
    /// Ready: it serves and is as the spec wants it. Serving: its accounts are served. UpToDate: its
    /// pod is as the spec wants it. Drained, while it leaves: its accounts are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::schema")]
    pub conditions: Vec<Condition>,
}

/// How far a shard is with its index.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Recovering {
    /// How much is rebuilt, in percent.
    pub percent: i32,
    /// How long the rest will take; not there while nobody can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes_left: Option<i32>,
}

/// What a shard is to the directory.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardState {
    /// It has not served yet.
    Pending,
    /// It serves, and takes new accounts.
    Active,
    /// It serves, and takes no new accounts.
    Cordoned,
    /// Its accounts move away.
    Draining,
    /// It has no accounts left.
    Empty,
    /// It serves nothing, and keeps its accounts.
    Stopped,
    /// It has left; its number does not come back.
    Retired,
    /// An administrator said that it will not come back.
    Lost,
}
