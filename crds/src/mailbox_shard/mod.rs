//! One shard, by what people want of it.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::is_default;
use crate::pod::Pod;
use crate::rules::{self, matches, rule};
use crate::storage::OwnStorage;

mod status;

pub use status::{MailboxShardStatus, Recovering, ShardState};

/// What is wanted of a shard. What is left out is as in the cluster's shardDefaults.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "buzonera.dev",
    version = "v1alpha1",
    kind = "MailboxShard",
    plural = "mailboxshards",
    shortname = "mbs",
    category = "buzonera",
    namespaced,
    status = "MailboxShardStatus",
    derive = "PartialEq",
    annotation("helm.sh/resource-policy", "keep"),
    doc = "One shard of a MailCluster: a volume with the mail of its accounts, and the pod that \
           serves it. When it is deleted, its accounts move to other shards first, and the volume \
           stays.",
    selectable = ".spec.clusterName",
    printcolumn(
        name = "State", type_ = "string", json_path = ".status.state",
        description = "What the shard is to the directory"
    ),
    printcolumn(
        name = "Accounts", type_ = "integer", json_path = ".status.accounts",
        description = "Accounts that it owns"
    ),
    printcolumn(
        name = "Used", type_ = "integer", json_path = ".status.usedPercent",
        description = "How much of its volume is used, in percent"
    ),
    printcolumn(
        name = "In", type_ = "integer", json_path = ".status.movesIn",
        description = "Moves to it that are open"
    ),
    printcolumn(
        name = "Out", type_ = "integer", json_path = ".status.movesOut",
        description = "Moves from it that are open"
    ),
    printcolumn(
        name = "Serving", type_ = "string",
        json_path = ".status.conditions[?(@.type=='Serving')].status",
        description = "Whether its accounts are served"
    ),
    printcolumn(
        name = "Release", type_ = "string", json_path = ".status.release", priority = 1,
        description = "The release that its pod runs"
    ),
    printcolumn(
        name = "Node", type_ = "string", json_path = ".status.node", priority = 1,
        description = "The node that its pod is on"
    ),
    printcolumn(
        name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp",
        description = "Since when it exists"
    ),
    validation = named_after_its_cluster()
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::keeps_class_of_storage())]
pub struct MailboxShardSpec {
    /// The MailCluster that it belongs to. Cannot change.
    #[schemars(length(max = 40))]
    #[x_kube(validation = matches(
        "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$",
        "clusterName: write the name of a MailCluster, for example example",
    ))]
    #[x_kube(validation = rule(
        "self == oldSelf",
        "clusterName: a shard stays in its cluster; move the accounts instead",
    ))]
    pub cluster_name: String,
    /// Active: it serves, and takes new accounts. Cordoned: it serves, and takes no new ones.
    /// Drained: its accounts move to other shards, and it stays there, empty. Stopped: pod and
    /// volume stay, and nothing is served, so that the volume can be looked at; mail waits.
    #[serde(default)]
    pub mode: ShardMode,
    /// Its volume, where it differs from the cluster's shardDefaults.
    #[serde(default, skip_serializing_if = "is_default")]
    pub storage: OwnStorage,
    /// How its pod is made, where it differs: each field that is written here takes the place of the
    /// one in shardDefaults.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pod: Pod,
    /// Its share of the cluster's accounts and mail, beside that of the others, 1 to 1000. Left out:
    /// it follows the size of the volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub weight: Option<i32>,
}

/// What a shard is to do.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShardMode {
    /// Serve, and take new accounts.
    #[default]
    Active,
    /// Serve, and take no new accounts.
    Cordoned,
    /// Give all accounts away, and stay.
    Drained,
    /// Serve nothing, and keep pod and volume.
    Stopped,
}

/// Without leading zeros: two names of one number would be two volumes of one shard.
fn named_after_its_cluster() -> kube::core::Rule {
    rule(
        "self.metadata.name.startsWith(self.spec.clusterName + '-') \
         && self.metadata.name.substring(size(self.spec.clusterName) + 1)\
         .matches('^(0|[1-9][0-9]{0,5})$')",
        "metadata.name: write CLUSTER-NUMBER, for example example-7; \
         the number must be one that the cluster has not used",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::tests::lost;

    #[test]
    fn no_field_of_the_example_is_lost() {
        assert_eq!(lost::<MailboxShard>(include_str!("example.yaml")), [""; 0]);
    }

    #[test]
    fn what_a_shard_does_not_say_is_not_written() {
        let spec: MailboxShardSpec = serde_saphyr::from_str("{clusterName: example}").unwrap();
        let written = serde_json::to_value(&spec).unwrap();
        let least = serde_json::json!({"clusterName": "example", "mode": "Active"});
        assert_eq!(written, least);
    }
}
