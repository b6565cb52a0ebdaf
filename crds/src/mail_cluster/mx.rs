//! The tier that takes mail in.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::is_default;
use crate::pod::Pod;
use crate::rules::rule;
use crate::service::{Service, at_least_one};
use crate::storage::Storage;

/// The tier that takes mail in. What a shard cannot take at once waits in its spool, on a volume.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Mx {
    /// How many pods, 1 to 100. One that leaves empties its spool first; its volume stays.
    #[serde(default = "replicas")]
    #[schemars(range(min = 1, max = 100))]
    pub replicas: i32,
    /// The volume of each pod's spool.
    #[serde(default = "storage")]
    pub storage: Storage,
    /// How the pods are made.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pod: Pod,
    /// The Services in front, by their names.
    #[serde(default = "services")]
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    #[x_kube(validation = at_least_one())]
    #[x_kube(validation = rule(
        "self.all(service, service.name != 'rpc')",
        "services: choose another name than rpc, which is the operator's",
    ))]
    pub services: Vec<Service<MxPort>>,
}

/// What is spoken at a port of mx.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum MxPort {
    /// Mail from other servers (RFC 5321).
    Smtp,
    /// Mail from servers of ours that know what they send to (RFC 2033).
    Lmtp,
}

/// One may restart while the other takes mail in.
fn replicas() -> i32 {
    2
}

/// Some hours of mail for a shard that is away.
fn storage() -> Storage {
    Storage::gibibytes(20)
}

fn services() -> Vec<Service<MxPort>> {
    vec![Service::public(MxPort::Smtp, 25)]
}

impl Default for Mx {
    fn default() -> Self {
        Self {
            replicas: replicas(),
            storage: storage(),
            pod: Pod::default(),
            services: services(),
        }
    }
}
