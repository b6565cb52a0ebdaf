//! What a mail platform is, as the operator sees it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
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
    /// Rebalancing: accounts move; when they do not, its reason says what keeps them. Approved: what
    /// became of the plan that the annotation buzonera.dev/approve names; there only while it is.
    /// DirectoryReachable: a replica answers the operator. UpToDate: every pod is as the spec wants it.
    /// MxDrained: whether an mx that is too many has nothing left; there only while one leaves.
    /// PublicCertificate: where it comes from.
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

/// A plan of moves, or how far the moves are that run. An account that has not begun to move counts
/// as one of the mean size.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RebalanceStatus {
    /// The plan's id, for the annotation buzonera.dev/approve: in mode DryRun, until it has run or
    /// shards have become others than it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub plan: Option<String>,
    /// The plan that was approved last: it runs while it is the plan, and has run when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub approved: Option<String>,
    /// How many accounts the plan that was approved last has left where they are, since it has run
    /// or was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<i64>,
    /// Since when accounts move, whatever was not known or paused meanwhile; there only while they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// How many accounts move, or would, all together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves: Option<i64>,
    /// How many octets they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// How many of them have not arrived yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves_left: Option<i64>,
    /// How many octets have not arrived yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_left: Option<i64>,
    /// How much is done, in percent, where each account costs its octets and 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_percent: Option<i32>,
    /// How long the rest will take at the pace of the last minutes; left out while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes_left: Option<i32>,
    /// How far loads are from their shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread_permille: Option<Spread>,
    /// From where to where, the largest first: the plan's.
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
    /// What for.
    pub why: FlowReason,
    /// How many of the accounts were asked for since the plan was approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<i64>,
}

/// What accounts move for.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlowReason {
    /// The volume of the shard that gives is too full.
    Full,
    /// The shard that gives has more than its share, or the one that takes less.
    #[default]
    Uneven,
}
