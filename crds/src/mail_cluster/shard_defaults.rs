//! How shards are that say nothing else.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::is_default;
use crate::pod::Pod;
use crate::storage::DefaultStorage;

/// How shards are that say nothing else.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ShardDefaults {
    /// The volume of each shard. It has the only copy of the shard's mail: let it be replicated
    /// storage.
    #[serde(default = "storage")]
    pub storage: DefaultStorage,
    /// How the pods are made.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pod: Pod,
}

/// Some 2,000 accounts of 50 MB each.
fn storage() -> DefaultStorage {
    DefaultStorage {
        size: "100Gi".to_owned(),
        storage_class_name: None,
    }
}

impl Default for ShardDefaults {
    fn default() -> Self {
        Self {
            storage: storage(),
            pod: Pod::default(),
        }
    }
}
