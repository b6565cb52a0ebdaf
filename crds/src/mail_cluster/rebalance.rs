//! How accounts are spread over the shards.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::rule;

/// How accounts are spread over the shards, and what that may cost.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Rebalance {
    /// Auto: accounts move until the loads of the shards are within the tolerance. DryRun: what
    /// would move stands in status.rebalance, and moves once when the annotation
    /// buzonera.dev/approve names the plan. Disabled: there is no plan. From a shard that leaves
    /// accounts move in every mode.
    #[serde(default)]
    pub mode: RebalanceMode,
    /// How far the load of a shard may be from its share before accounts move, in percent of the
    /// share, 1 to 50.
    #[serde(default = "tolerance_percent")]
    #[schemars(range(min = 1, max = 50))]
    pub tolerance_percent: i32,
    /// What moves may cost a shard.
    #[serde(default)]
    pub per_shard: PerShard,
}

/// Whether accounts move by themselves.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RebalanceMode {
    /// They do, within the limits.
    #[default]
    Auto,
    /// A plan is shown and waits for approval.
    DryRun,
    /// There is no plan. (`Off` without quotes is a boolean in the YAML of kubectl.)
    Disabled,
}

/// What moves may cost a shard.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PerShard {
    /// How many moves to and from one shard may be open at once, 1 to 64.
    #[serde(default = "moves")]
    #[schemars(range(min = 1, max = 64))]
    pub moves: i32,
    /// How many octets a second may leave one shard, all its moves together: 1Mi to 10Gi.
    #[serde(default = "bytes_per_second")]
    #[schemars(length(min = 1, max = 24))]
    #[x_kube(validation = rule(
        "isQuantity(self) && quantity(self).compareTo(quantity('1Mi')) >= 0 \
         && quantity(self).compareTo(quantity('10Gi')) <= 0",
        "rebalance.perShard.bytesPerSecond: write 1Mi to 10Gi, for example 50Mi",
    ))]
    pub bytes_per_second: String,
}

/// Less would move accounts for what a day's mail changes.
fn tolerance_percent() -> i32 {
    10
}

/// Enough that small accounts do not wait for a large one.
fn moves() -> i32 {
    4
}

/// Half of what a plain disk or a network of 1 Gbit/s takes: mail is served meanwhile.
fn bytes_per_second() -> String {
    "50Mi".to_owned()
}

impl Default for Rebalance {
    fn default() -> Self {
        Self {
            mode: RebalanceMode::default(),
            tolerance_percent: tolerance_percent(),
            per_shard: PerShard::default(),
        }
    }
}

impl Default for PerShard {
    fn default() -> Self {
        Self {
            moves: moves(),
            bytes_per_second: bytes_per_second(),
        }
    }
}
