//! Doors: the Services by which mail programs and other mail servers come in.

use std::collections::BTreeMap;

use kube::KubeSchema;
use kube::core::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::{matches, rule};
use crate::schemas;

/// A Service in front of a tier. A port that no Service names is not open.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = service_rules()))]
pub struct Service<P> {
    /// A short name, part of the Service's own: public, inside, relays.
    #[schemars(length(max = 15), extend("x-kubernetes-validations" = [name_rule()]))]
    pub name: String,
    /// LoadBalancer, NodePort or ClusterIP, as of any Service.
    #[serde(default, rename = "type")]
    pub kind: ServiceType,
    /// Annotations of the Service; clouds read how their balancer is to be from them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schemas::annotations")]
    pub annotations: BTreeMap<String, String>,
    /// Which implementation of balancers is meant, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub load_balancer_class: Option<String>,
    /// Local keeps the client's address, Cluster spreads connections over all nodes. Left out: Local
    /// for the types LoadBalancer and NodePort.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<ExternalTrafficPolicy>,
    /// Written when the balancer speaks the PROXY protocol, version 2: each connection then begins
    /// with its header, and those without one are closed. Who comes without a balancer needs a
    /// Service of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// For a Service with the port lmtp: the CA of those that may hand mail in. They show a
    /// certificate of it.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "clientCA")]
    pub client_ca: Option<ClientCa>,
    /// The ports, at least one.
    #[schemars(length(max = 4))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub ports: Vec<Port<P>>,
}

/// A port of a Service.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Port<P> {
    /// What is spoken there.
    pub name: P,
    /// The number that clients connect to.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// The number on each node. Left out: Kubernetes chooses one where the type needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub node_port: Option<i32>,
}

/// The type of a Service.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceType {
    /// A balancer of the cloud or of the cluster.
    #[default]
    LoadBalancer,
    /// A port on each node.
    NodePort,
    /// An address inside the cluster.
    ClusterIP,
}

/// Local keeps the client's address, Cluster spreads connections over all nodes. Left out: Local for
/// the types LoadBalancer and NodePort.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExternalTrafficPolicy {
    /// To pods of the node that they reach: the client's address is seen.
    Local,
    /// To any pod: the client's address is that of a node.
    Cluster,
}

/// The PROXY protocol, version 2.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ProxyProtocol {
    /// Networks from which a header is believed: those of the balancer, for example 10.0.0.0/8.
    #[schemars(length(min = 1, max = 16), inner(length(max = 43)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = rule(
        "self.all(network, isCIDR(network))",
        "proxyProtocol.trustedFrom: write networks, for example 10.0.0.0/8",
    ))]
    pub trusted_from: Vec<String>,
}

/// The CA of clients.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClientCa {
    /// A Secret in this namespace with the CA's certificate as ca.crt.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

impl<P> Service<P> {
    /// A balancer with one port, which is what a tier has unless somebody says otherwise.
    pub(crate) fn public(name: P, port: i32) -> Self {
        Self {
            name: "public".to_owned(),
            kind: ServiceType::LoadBalancer,
            annotations: BTreeMap::new(),
            load_balancer_class: None,
            external_traffic_policy: None,
            proxy_protocol: None,
            client_ca: None,
            ports: vec![Port {
                name,
                port,
                node_port: None,
            }],
        }
    }
}

/// The Services of a tier: how many there are.
pub(crate) fn at_least_one() -> Rule {
    rule(
        "size(self) >= 1",
        "services: name at least one; a port that no Service names is not open",
    )
}

fn name_rule() -> Rule {
    matches(
        "^[a-z]([a-z0-9-]{0,13}[a-z0-9])?$",
        "services: write a name of 1 to 15 of a-z, 0-9 and '-', beginning with a letter",
    )
}

fn service_rules() -> Vec<Rule> {
    vec![
        rule(
            "self.type != 'ClusterIP' || self.ports.all(port, !has(port.nodePort))",
            "services: only Services of type NodePort and LoadBalancer have a nodePort",
        ),
        rule(
            "self.type == 'LoadBalancer' || !has(self.loadBalancerClass)",
            "services: only Services of type LoadBalancer have a loadBalancerClass",
        ),
        rule(
            "self.type != 'ClusterIP' || !has(self.externalTrafficPolicy)",
            "services: only Services of type NodePort and LoadBalancer have an externalTrafficPolicy",
        ),
        rule(
            "size(self.ports) >= 1",
            "services: name at least one port, for example {name: pop3s, port: 995}",
        ),
        rule(
            "self.ports.all(port, self.ports.exists_one(other, other.port == port.port))",
            "services: give each port of a Service a number of its own",
        ),
        rule(
            "!has(self.clientCA) || self.ports.exists(port, port.name == 'lmtp')",
            "services: clientCA is for a Service with the port lmtp",
        ),
        rule(
            "!has(self.proxyProtocol) || self.ports.all(port, port.name != 'lmtp')",
            "services: lmtp takes no PROXY header; give it a Service without proxyProtocol",
        ),
    ]
}
