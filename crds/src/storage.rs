//! Volumes.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// The volume of one pod. What exists never shrinks and keeps its class.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::keeps_class())]
pub struct Storage {
    /// How large: 1Gi or more, for example 100Gi. It can be raised at any time if the storage class
    /// allows that, and never lowered.
    #[schemars(length(min = 1, max = 24))]
    #[x_kube(validation = rules::size(), validation = rules::never_shrinks())]
    pub size: String,
    /// The StorageClass that makes the volume. Left out: the default one of the cluster. Cannot
    /// change once it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
}

/// The volumes of shards that say nothing else themselves.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DefaultStorage {
    /// How large: 1Gi or more, for example 100Gi. Raising it raises every volume that follows it; it
    /// is never lowered.
    #[schemars(length(min = 1, max = 24))]
    #[x_kube(validation = rules::size(), validation = rules::never_shrinks())]
    pub size: String,
    /// The StorageClass of volumes that are made from now on; volumes that exist keep theirs. Left
    /// out: the default one of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
}

/// What is said of one shard's volume; the rest is as in the cluster's shardDefaults.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OwnStorage {
    /// How large: 1Gi or more, for example 100Gi. Left out: as in shardDefaults. A volume never
    /// shrinks, whatever is said here later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 24))]
    #[x_kube(validation = rules::size(), validation = rules::never_shrinks())]
    pub size: Option<String>,
    /// The StorageClass that makes the volume. Left out: as in shardDefaults. Cannot change once it
    /// is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
}

impl Storage {
    /// Of so many GiB and the cluster's default class.
    pub(crate) fn gibibytes(count: u32) -> Self {
        Self {
            size: format!("{count}Gi"),
            storage_class_name: None,
        }
    }
}
