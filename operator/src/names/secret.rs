//! Secrets with certificates.

use super::labels::Instance;
use super::{ClusterName, Tier};

/// A Secret with certificates: whose they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretOf {
    /// An etcd member, which other members and the directory call.
    EtcdMember(u32),
    /// The directory, as whoever uses etcd.
    EtcdClient,
    /// All directory replicas.
    Directory,
    /// Whoever runs `buzonera` in a directory's pod.
    Admin,
    /// One shard.
    Shard(u32),
    /// All proxies.
    Proxy,
    /// One mx.
    Mx(u32),
    /// What mail programs and other mail servers are shown.
    Public,
}

impl SecretOf {
    /// Its name.
    pub fn name(&self, cluster: &ClusterName) -> String {
        match self {
            Self::EtcdMember(ordinal) => cluster.etcd_member(*ordinal),
            Self::EtcdClient => cluster.and("etcd-client"),
            Self::Directory => cluster.directory(),
            Self::Admin => cluster.and("admin"),
            Self::Shard(ordinal) => cluster.shard(*ordinal),
            Self::Proxy => cluster.proxy(),
            Self::Mx(ordinal) => cluster.mx(*ordinal),
            Self::Public => cluster.and("public"),
        }
    }

    /// The tier that it stands beside; the public certificates are the proxy's and mx'.
    pub fn tier(&self) -> Tier {
        match self {
            Self::EtcdMember(_) => Tier::Etcd,
            Self::EtcdClient | Self::Directory | Self::Admin => Tier::Directory,
            Self::Shard(_) => Tier::Storage,
            Self::Proxy | Self::Public => Tier::Proxy,
            Self::Mx(_) => Tier::Mx,
        }
    }

    /// Which of that tier it is.
    pub fn instance(&self) -> Instance {
        match self {
            Self::EtcdMember(ordinal) | Self::Mx(ordinal) => Instance::Ordinal(*ordinal),
            Self::Shard(ordinal) => Instance::Shard(*ordinal),
            Self::EtcdClient | Self::Directory | Self::Admin | Self::Proxy | Self::Public => {
                Instance::All
            }
        }
    }
}
