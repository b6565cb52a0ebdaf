//! Every name, label, port, key and owner of what the operator makes; nothing else spells one.
//!
//! A name is that of the MailCluster and one of a few endings, with which no MailCluster's own name
//! may end: so what two clusters make is never called the same.

use std::fmt;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource as _;

pub mod annotations;
pub mod files;
pub mod labels;
mod port;
mod secret;
mod tier;

pub use port::Port;
pub use secret::SecretOf;
pub use tier::Tier;

/// The field manager of everything that the operator applies, and the value of
/// `app.kubernetes.io/managed-by`.
pub const OPERATOR: &str = "buzonera-operator";

/// Holds a MailboxShard until its accounts are elsewhere.
pub const SHARD_FINALIZER: &str = "buzonera.dev/drain";

/// The highest number that a shard may have.
pub const MAX_SHARD: u32 = 999_999;

/// The name of a MailCluster: 1 to 40 of `a-z`, `0-9` and `-`, beginning with a letter, and with no
/// ending of ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterName(String);

/// Text that is no name of a MailCluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "metadata.name: {0:?} cannot be the name of a MailCluster: write 1 to 40 of a-z, 0-9 and '-', \
     beginning with a letter and not ending in -ca, -etcd, -directory, -mx, -proxy or -public"
)]
pub struct BadClusterName(String);

/// The endings that begin other names of the same cluster: `a-mx` would call its first shard as `a`
/// calls its first mx.
const TAKEN: [&str; 6] = ["-ca", "-etcd", "-directory", "-mx", "-proxy", "-public"];

/// The longest that leaves room for the endings in 63 octets.
const MAX_CLUSTER: usize = 40;

impl FromStr for ClusterName {
    type Err = BadClusterName;

    fn from_str(text: &str) -> Result<Self, BadClusterName> {
        let is_name = wire::ids::is_label(text)
            && text.len() <= MAX_CLUSTER
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && !TAKEN.iter().any(|ending| text.ends_with(ending));
        match is_name {
            true => Ok(Self(text.to_owned())),
            false => Err(BadClusterName(text.chars().take(MAX_CLUSTER * 2).collect())),
        }
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ClusterName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn and(&self, ending: impl fmt::Display) -> String {
        format!("{self}-{ending}")
    }

    /// The Service with the names of etcd's members, and the ConfigMap that they start with.
    pub fn etcd(&self) -> String {
        self.and("etcd")
    }

    /// An etcd member: its StatefulSet, its volume, its Secret, and what it calls itself.
    pub fn etcd_member(&self, ordinal: u32) -> String {
        self.and(format_args!("etcd-{ordinal}"))
    }

    /// The host name of an etcd member, as certificates and URLs have it.
    pub fn etcd_host(&self, ordinal: u32) -> String {
        host(&pod(&self.etcd_member(ordinal), 0), &self.etcd())
    }

    /// The directory: its StatefulSet, its Secret and the Service with its pods' names.
    pub fn directory(&self) -> String {
        self.and("directory")
    }

    /// A directory replica: its pod, and the instance of its certificate.
    pub fn directory_replica(&self, ordinal: u32) -> String {
        pod(&self.directory(), ordinal)
    }

    /// The host name of a directory replica.
    pub fn directory_host(&self, ordinal: u32) -> String {
        host(&self.directory_replica(ordinal), &self.directory())
    }

    /// The ConfigMap with the list of the directory's replicas.
    pub fn peers(&self) -> String {
        self.and("peers")
    }

    /// The proxy: its StatefulSet and its Secret.
    pub fn proxy(&self) -> String {
        self.and("proxy")
    }

    /// A proxy: its pod, and the instance of its certificate.
    pub fn proxy_instance(&self, ordinal: u32) -> String {
        pod(&self.proxy(), ordinal)
    }

    /// A Service in front of the proxies.
    pub fn proxy_service(&self, service: &str) -> String {
        self.and(format_args!("proxy-{service}"))
    }

    /// An mx: its StatefulSet, its volume, its Secret, and the instance of its certificate.
    pub fn mx(&self, ordinal: u32) -> String {
        self.and(format_args!("mx-{ordinal}"))
    }

    /// What all mx have in common: their disruption budget.
    pub fn mx_tier(&self) -> String {
        self.and("mx")
    }

    /// A Service in front of the mx.
    pub fn mx_service(&self, service: &str) -> String {
        self.and(format_args!("mx-{service}"))
    }

    /// The Service with the names of mx' pods.
    pub fn mx_rpc(&self) -> String {
        self.mx_service("rpc")
    }

    /// A shard: its MailboxShard, its StatefulSet, its volume, its Secret, and the instance of its
    /// certificate.
    pub fn shard(&self, ordinal: u32) -> String {
        self.and(ordinal)
    }

    /// The number of a shard of this cluster; `None` for other names, also for a number that is
    /// written otherwise than [`Self::shard`] does.
    pub fn shard_ordinal(&self, name: &str) -> Option<u32> {
        let digits = name.strip_prefix(&self.0)?.strip_prefix('-')?;
        let ordinal = digits
            .parse()
            .ok()
            .filter(|ordinal| *ordinal <= MAX_SHARD)?;
        (self.shard(ordinal) == name).then_some(ordinal)
    }

    /// The Service with the names of the shards' pods, and the shards' disruption budget.
    pub fn shards(&self) -> String {
        self.and("shards")
    }

    /// The Secret that everything hangs on: both CAs, the cluster's id, and what was made.
    pub fn root(&self) -> String {
        self.and("ca")
    }
}

/// A pod of a StatefulSet.
pub fn pod(stateful_set: &str, ordinal: u32) -> String {
    format!("{stateful_set}-{ordinal}")
}

/// Whether a Service in front of a tier may have this short name. `b-etcd` may not: in front of the
/// proxies of `a` it would be called like the Service of etcd in the cluster `a-proxy-b`.
pub fn is_service_name(name: &str) -> bool {
    let ends = ["-etcd", "-directory", "-shards"];
    let inside = ["-mx-", "-proxy-"];
    wire::ids::is_label(name)
        && !ends.iter().any(|ending| name.ends_with(ending))
        && !inside.iter().any(|part| name.contains(part))
}

/// Found by the first search domain of every pod of the namespace; nobody has to know the domain of
/// the Kubernetes cluster.
fn host(pod: &str, service: &str) -> String {
    format!("{pod}.{service}")
}

/// A MailCluster as the owner of what is made for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its name.
    pub name: ClusterName,
    /// Its `metadata.uid`.
    pub uid: String,
}

impl Owner {
    /// Nothing blocks the owner's deletion: that would need a right on its finalizers.
    pub fn reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: crds::MailCluster::api_version(&()).into_owned(),
            kind: crds::MailCluster::kind(&()).into_owned(),
            name: self.name.to_string(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> ClusterName {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_has_no_ending_of_ours() {
        let longest = "a".repeat(40);
        for good in ["a", "a-0", "a-mxx", "mx", "mail-2", &longest] {
            assert_eq!(name(good).as_str(), good);
        }
        let long = "a".repeat(41);
        for bad in [
            "",
            "0",
            "-a",
            "a-",
            "A",
            "a.b",
            "a-mx",
            "a-etcd",
            "a-ca",
            "a-directory",
            "a-proxy",
            "a-public",
            &long,
        ] {
            assert!(bad.parse::<ClusterName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_shard_has_one_name() {
        let cluster = name("a");
        assert_eq!(cluster.shard_ordinal("a-0"), Some(0));
        assert_eq!(cluster.shard_ordinal("a-999999"), Some(999_999));
        for other in [
            "a",
            "a-",
            "a-00",
            "a-+1",
            "a-1000000",
            "a-1-0",
            "b-1",
            "a-mx-1",
            "ab-1",
        ] {
            assert_eq!(cluster.shard_ordinal(other), None, "{other}");
        }
    }

    #[test]
    fn hosts_are_pods_of_services() {
        let cluster = name("example");
        assert_eq!(cluster.etcd_host(2), "example-etcd-2-0.example-etcd");
        assert_eq!(
            cluster.directory_host(1),
            "example-directory-1.example-directory"
        );
    }

    proptest! {
        #[test]
        fn a_shard_is_read_as_it_is_written(ordinal in 0..=MAX_SHARD) {
            let cluster = name("a-0");
            prop_assert_eq!(cluster.shard_ordinal(&cluster.shard(ordinal)), Some(ordinal));
        }
    }
}
