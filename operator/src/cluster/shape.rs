//! What a MailCluster wants, checked and whole: nobody reads the raw spec after this.

use std::collections::{BTreeMap, BTreeSet};

use crds::mail_cluster::{Domain, PullPolicy, RebalanceMode};
use crds::pod::Pod;
use crds::service::{ExternalTrafficPolicy, ServiceType};

use super::size::Size;
use crate::names::{ClusterName, Port, Tier};
use crate::pod::release::Release;

/// A mail platform, as it is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// Its name.
    pub name: ClusterName,
    /// Where it is.
    pub namespace: String,
    /// The release of all tiers.
    pub release: Release,
    /// The registry of our images, to be pinned with the release; empty: the nodes' own.
    pub registry: String,
    /// The images.
    pub images: Images,
    /// The name in greetings and in MX records.
    pub hostname: String,
    /// Domains to take mail for.
    pub domains: Vec<Domain>,
    /// How many shards the operator keeps.
    pub shards: u32,
    /// How shards are that say nothing else.
    pub shard_defaults: ShardDefaults,
    /// The tier that takes mail in.
    pub mx: Mx,
    /// The tier that mail programs come to.
    pub proxy: Proxy,
    /// The tier that knows where each account is.
    pub directory: Directory,
    /// Its store.
    pub etcd: Etcd,
    /// How accounts are spread.
    pub rebalance: Rebalance,
    /// Secrets with certificates for those who come from outside; the first is the default.
    pub certificates: Vec<String>,
}

/// The complete names of all images, and how nodes get them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// etcd's, which somebody else makes.
    pub etcd: String,
    /// The directory's; it holds `buzonera` too.
    pub directory: String,
    /// A shard's.
    pub storage: String,
    /// The proxy's.
    pub proxy: String,
    /// mx'.
    pub mx: String,
    /// When a node fetches one.
    pub pull_policy: PullPolicy,
    /// Secrets with which nodes log in at the registry.
    pub pull_secrets: Vec<String>,
}

/// A volume, as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// How large.
    pub size: Size,
    /// Its StorageClass; none: the default one.
    pub class: Option<String>,
}

/// How shards are that say nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardDefaults {
    /// The volume.
    pub volume: Volume,
    /// The pod.
    pub pod: Pod,
}

/// The tier that takes mail in.
#[derive(Debug, Clone, PartialEq)]
pub struct Mx {
    /// How many.
    pub replicas: u32,
    /// The volume of each.
    pub volume: Volume,
    /// The pods.
    pub pod: Pod,
    /// The Services in front.
    pub doors: Doors,
    /// The Secret with the CA of those who may hand mail in by LMTP; none: the cluster's own CA.
    pub client_ca: Option<String>,
}

/// The tier that mail programs come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Proxy {
    /// How many; none: whoever scales the StatefulSet decides.
    pub replicas: Option<u32>,
    /// The pods.
    pub pod: Pod,
    /// The Services in front.
    pub doors: Doors,
}

/// The tier that knows where each account is.
#[derive(Debug, Clone, PartialEq)]
pub struct Directory {
    /// How many.
    pub replicas: u32,
    /// The pods.
    pub pod: Pod,
}

/// The directory's store.
#[derive(Debug, Clone, PartialEq)]
pub struct Etcd {
    /// How many members: 1 or 3.
    pub members: u32,
    /// The volume of each.
    pub volume: Volume,
    /// The pods.
    pub pod: Pod,
}

/// The Services in front of a tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doors {
    /// The Services.
    pub services: Vec<Service>,
    /// Networks from which a PROXY header is believed; empty: no Service has a balancer that sends
    /// one.
    pub trusted: BTreeSet<String>,
}

/// A Service in front of a tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// A short name, part of the Service's own.
    pub name: String,
    /// Its type.
    pub kind: ServiceType,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Which implementation of balancers is meant.
    pub load_balancer_class: Option<String>,
    /// Where connections from outside go; none: the Service is for the inside.
    pub traffic: Option<ExternalTrafficPolicy>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name.
    pub name: &'static str,
    /// The number that clients connect to.
    pub number: u16,
    /// The number on each node, if somebody chose it.
    pub node_port: Option<u16>,
    /// The container's port.
    pub target: Port,
}

/// How accounts are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebalance {
    /// Whether they move by themselves.
    pub mode: RebalanceMode,
    /// How far a load may be from its share, in percent of the share.
    pub tolerance_percent: u32,
    /// How many moves to and from one shard may be open at once.
    pub moves: u32,
    /// Octets that may leave one shard in a second.
    pub bytes_per_second: u64,
}

impl Images {
    /// The image of a tier.
    pub fn of(&self, tier: Tier) -> &str {
        match tier {
            Tier::Etcd => &self.etcd,
            Tier::Directory => &self.directory,
            Tier::Storage => &self.storage,
            Tier::Proxy => &self.proxy,
            Tier::Mx => &self.mx,
        }
    }
}

impl Doors {
    /// Whether a Service leads to a container's port.
    pub fn lead_to(&self, port: Port) -> bool {
        let mut ports = self.services.iter().flat_map(|service| &service.ports);
        ports.any(|found| found.target == port)
    }
}

impl Etcd {
    /// How large the store may become: 40 % of the volume, and 8 GiB at most. The rest is for etcd's
    /// log, a snapshot, and the copy that it makes to defragment.
    pub fn quota(&self) -> u64 {
        (self.volume.size.octets() / 5 * 2).min(8 << 30)
    }
}
