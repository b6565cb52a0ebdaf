//! What a mail platform is, as the operator sees it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::conditions;

/// What a mail platform is, as the operator saw it last.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MailClusterStatus {
    /// The metadata.generation that this tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many shards there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<i32>,
    /// How many of them serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards_serving: Option<i32>,
    /// The release that all tiers run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The id that the cluster's certificates, store and volumes carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36))]
    pub cluster_id: Option<String>,
    /// Accounts on all shards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<i64>,
    /// Octets of mail on all shards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// Moves of accounts that are open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves: Option<i64>,
    /// Texts for the columns of kubectl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// What moves, or would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebalance: Option<RebalanceStatus>,
    /// Ready: every account is served. Reconciling, Stalled, Paused: there only while they hold.
    /// Rebalancing: accounts move. DirectoryReachable: a replica answers the operator. UpToDate:
    /// every pod is as the spec wants it. PublicCertificate: where it comes from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::schema")]
    pub conditions: Vec<Condition>,
}

/// Texts for the columns of kubectl.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Shards that serve, of all: 4/4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub shards: Option<String>,
}

/// A plan of moves and how far it is.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RebalanceStatus {
    /// The plan's id, for the annotation buzonera.dev/approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub plan: Option<String>,
    /// The plan that was approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub approved: Option<String>,
    /// How many accounts move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves: Option<i64>,
    /// How many octets they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// How much of the octets is moved, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_percent: Option<i32>,
    /// How long the rest will take at the pace of the last minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes_left: Option<i32>,
    /// How far loads are from their shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread_permille: Option<Spread>,
    /// From where to where, the largest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub flows: Vec<Flow>,
}

/// How far the loads of shards are from their shares, in thousandths of the share: the farthest
/// below and the farthest above.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Spread {
    /// As it is before the plan.
    pub before: [i32; 2],
    /// As it will be after it.
    pub after: [i32; 2],
}

/// Accounts that go from one shard to another.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Flow {
    /// The shard that gives them.
    #[schemars(length(max = 63))]
    pub from: String,
    /// The shard that takes them.
    #[schemars(length(max = 63))]
    pub to: String,
    /// How many accounts.
    pub accounts: i64,
    /// How many octets.
    pub bytes: i64,
}
