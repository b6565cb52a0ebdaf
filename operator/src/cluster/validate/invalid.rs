//! Why a MailCluster or a MailboxShard is not acted on.

use crate::cluster::size::{BadSize, Size};
use crate::names::BadClusterName;
use crate::pod::release::{BadRelease, Release};

/// Why an object is not acted on: what runs stays as it is. Each sentence begins with the field, and
/// says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Its own name.
    #[error(transparent)]
    Name(#[from] BadClusterName),
    /// Every such object is in a namespace.
    #[error("metadata.namespace: is missing")]
    NoNamespace,
    /// Not a release.
    #[error("version: {0}")]
    NoRelease(#[from] BadRelease),
    /// A release that this operator cannot make.
    #[error(
        "version: this operator of {operator} makes releases of {}, and not {release}; write \
         {operator}, or install an operator of {} first", operator.known(), release.line()
    )]
    Release {
        /// What is written.
        release: Release,
        /// The operator's own.
        operator: Release,
    },
    /// The same, of a cluster that names none.
    #[error(
        "version: the cluster was made with {pinned}, and this operator of {operator} makes \
         releases of {} alone; install an operator of {}, and write a version there, one minor \
         version after the other", operator.known(), pinned.line()
    )]
    PinnedRelease {
        /// What the cluster was made with.
        pinned: Release,
        /// The operator's own.
        operator: Release,
    },
    /// Where images are from.
    #[error(
        "image.registry: {0:?} is no registry; write host and path in lower case, without https:// \
         and without a tag, for example registry.example.org/mail"
    )]
    Registry(String),
    /// etcd's image.
    #[error(
        "directory.store.etcd.image: {0:?} is no image; write its whole name with a tag or digest, \
         for example registry.example.org/etcd:v3.6.16"
    )]
    EtcdImage(String),
    /// The platform's own name.
    #[error("hostname: {0:?}: write a full name in lower case, for example mail.example.org")]
    Hostname(String),
    /// A domain.
    #[error(
        "domains: {0:?}: write names in lower case, for example example.org, and others in their \
         xn-- form"
    )]
    Domain(String),
    /// The postmaster of a domain.
    #[error(
        "domains: {domain}: postmaster {written:?} is no address; write for example admin@{domain}"
    )]
    Postmaster {
        /// The domain.
        domain: String,
        /// What is written.
        written: String,
    },
    /// A number that is too small or too large.
    #[error("{field}: {written}: write a number from {least} to {most}")]
    Count {
        /// Where it stands.
        field: &'static str,
        /// What is written.
        written: i32,
        /// The smallest that can be.
        least: u32,
        /// The largest that can be.
        most: u32,
    },
    /// A size that nobody can reckon with.
    #[error("{field}: {source}")]
    Size {
        /// Where it stands.
        field: &'static str,
        /// What is wrong with it.
        source: BadSize,
    },
    /// A volume that is too small.
    #[error("{field}: {size} is too small; write 1Gi or more, for example 100Gi")]
    Small {
        /// Where it stands.
        field: &'static str,
        /// What is written.
        size: Size,
    },
    /// How much moves may cost.
    #[error("rebalance.perShard.bytesPerSecond: {0:?}: write 1Mi to 10Gi, for example 50Mi")]
    Pace(String),
    /// No store at all.
    #[error("directory.store: write etcd: {{}}; there is no other store yet")]
    NoStore,
    /// How many members etcd has.
    #[error(
        "directory.store.etcd.replicas: {0}: write 3, or 1 for a cluster that may be down with its \
         node"
    )]
    Members(i32),
    /// A Service that would be called like one of another MailCluster.
    #[error(
        "{tier}.services: {service:?}: another MailCluster's Service may be called so; write a name \
         that does not end in -etcd, -directory or -shards and has no -mx- or -proxy- in it"
    )]
    ServiceName {
        /// The tier that it is in front of.
        tier: &'static str,
        /// Its name.
        service: String,
    },
    /// A port of a Service.
    #[error("{tier}.services: {service}: {number} is no port; write a number from 1 to 65535")]
    ServicePort {
        /// The tier that it is in front of.
        tier: &'static str,
        /// Its name.
        service: String,
        /// What is written.
        number: i32,
    },
    /// A port of the nodes that two are to have.
    #[error(
        "services: nodePort {number} is written for {first} and for {second}; a node has each port \
         once: write another number, or none, and Kubernetes chooses one"
    )]
    NodePortTwice {
        /// The port.
        number: i32,
        /// Who has it.
        first: String,
        /// Who is to have it too.
        second: String,
    },
    /// What is to be believed of balancers.
    #[error(
        "{tier}.services: {service}: proxyProtocol.trustedFrom: {network:?} is no network; write \
         for example 10.0.0.0/8"
    )]
    Network {
        /// The tier that it is in front of.
        tier: &'static str,
        /// Its name.
        service: String,
        /// What is written.
        network: String,
    },
    /// Services that ask for different clients at the one port that mx has for them.
    #[error(
        "mx.services: {first} and {second} have the port lmtp and not the same clientCA; mx asks \
         all who hand mail in by lmtp for a certificate of one CA: write the same in both"
    )]
    ClientCas {
        /// One Service.
        first: String,
        /// Another.
        second: String,
    },
    /// A MailboxShard whose name is not that of its cluster and a number.
    #[error(
        "metadata.name: {name:?}: write {cluster}-NUMBER, for example {cluster}-7, without leading \
         zeros"
    )]
    ShardName {
        /// What is written.
        name: String,
        /// The cluster that it says it is of.
        cluster: String,
    },
}

impl Invalid {
    /// The reason in conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::PinnedRelease { .. } => "ReleaseUnsupported",
            Self::Name(_)
            | Self::NoNamespace
            | Self::NoRelease(_)
            | Self::Release { .. }
            | Self::Registry(_)
            | Self::EtcdImage(_)
            | Self::Hostname(_)
            | Self::Domain(_)
            | Self::Postmaster { .. }
            | Self::Count { .. }
            | Self::Size { .. }
            | Self::Small { .. }
            | Self::Pace(_)
            | Self::NoStore
            | Self::Members(_)
            | Self::ServiceName { .. }
            | Self::ServicePort { .. }
            | Self::NodePortTwice { .. }
            | Self::Network { .. }
            | Self::ClientCas { .. }
            | Self::ShardName { .. } => "InvalidSpec",
        }
    }
}
