//! The tier that knows where each account is, and its store.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::is_default;
use crate::pod::Pod;
use crate::rules::rule;
use crate::storage::Storage;

/// The tier that knows where each account is. Its pods keep the map in memory, its store on disk.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Directory {
    /// How many pods, 1 to 5. Each has the whole map.
    #[serde(default = "replicas")]
    #[schemars(range(min = 1, max = 5))]
    pub replicas: i32,
    /// How the pods are made.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pod: Pod,
    /// Where the map is kept.
    #[serde(default)]
    pub store: Store,
}

/// Where the directory's map is kept: exactly one of the fields.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule(
    "has(self.etcd)",
    "directory.store: write etcd: {}; there is no other store yet",
))]
pub struct Store {
    /// An etcd of this cluster's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd: Option<Etcd>,
}

/// An etcd that the operator makes and keeps.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Etcd {
    /// How many members: 3, of which one may be away, or 1, without which nothing is added, changed
    /// or moved. Cannot change.
    #[serde(default = "members")]
    #[x_kube(validation = rule(
        "self == 1 || self == 3",
        "etcd.replicas: write 3, or 1 for a cluster that may be down with its node",
    ))]
    #[x_kube(validation = rule(
        "self == oldSelf",
        "etcd.replicas: cannot change yet; make a new MailCluster with the number you want",
    ))]
    pub replicas: i32,
    /// The image of etcd 3.6. Left out or empty: the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub image: Option<String>,
    /// The volume of each member. etcd may use 40 % of it, 8 GiB at most.
    #[serde(default = "storage")]
    pub storage: Storage,
    /// How the pods are made.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pod: Pod,
}

/// One may restart while the other answers.
fn replicas() -> i32 {
    2
}

/// One may be away.
fn members() -> i32 {
    3
}

/// 40 % of it are the 8 GiB that etcd keeps at most; the rest is for its log, a snapshot and the
/// copy that it makes to defragment.
fn storage() -> Storage {
    Storage::gibibytes(20)
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            replicas: replicas(),
            pod: Pod::default(),
            store: Store::default(),
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            etcd: Some(Etcd::default()),
        }
    }
}

impl Default for Etcd {
    fn default() -> Self {
        Self {
            replicas: members(),
            image: None,
            storage: storage(),
            pod: Pod::default(),
        }
    }
}
