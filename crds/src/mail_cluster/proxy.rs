//! The tier that mail programs come to.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::is_default;
use crate::pod::Pod;
use crate::service::{Service, at_least_one};

/// The tier that mail programs come to. It keeps nothing.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Proxy {
    /// How many pods, 1 to 100. Left out: whoever scales the StatefulSet NAME-proxy decides, for
    /// example an autoscaler; until then there are 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub replicas: Option<i32>,
    /// How the pods are made.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pod: Pod,
    /// The Services in front, by their names.
    #[serde(default = "services")]
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    #[x_kube(validation = at_least_one())]
    pub services: Vec<Service<ProxyPort>>,
}

/// What is spoken at a port of the proxy.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ProxyPort {
    /// POP3 (RFC 1939), with STLS (RFC 2595).
    Pop3,
    /// POP3 over TLS from the first octet on (RFC 8314).
    Pop3s,
}

/// RFC 8314 section 3 prefers TLS from the first octet on.
fn services() -> Vec<Service<ProxyPort>> {
    vec![Service::public(ProxyPort::Pop3s, 995)]
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            replicas: None,
            pod: Pod::default(),
            services: services(),
        }
    }
}
