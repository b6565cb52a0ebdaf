//! The tiers, as Kubernetes sees them.

use std::fmt;

use wire::identity;

/// A tier of pods, in the order in which a new release reaches them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// The directory's store.
    Etcd,
    /// Where each account is.
    Directory,
    /// The shards.
    Storage,
    /// What mail programs come to.
    Proxy,
    /// What takes mail in.
    Mx,
}

impl Tier {
    /// Every tier, in that order.
    pub const ALL: [Self; 5] = [
        Self::Etcd,
        Self::Directory,
        Self::Storage,
        Self::Proxy,
        Self::Mx,
    ];

    /// Its name in labels, and that of its container.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Directory => "directory",
            Self::Storage => "storage",
            Self::Proxy => "proxy",
            Self::Mx => "mx",
        }
    }

    /// What its certificates say; etcd's are of a CA of its own.
    pub fn identity(self) -> Option<identity::Tier> {
        match self {
            Self::Etcd => None,
            Self::Directory => Some(identity::Tier::Directory),
            Self::Storage => Some(identity::Tier::Storage),
            Self::Proxy => Some(identity::Tier::Proxy),
            Self::Mx => Some(identity::Tier::Mx),
        }
    }

    /// Where its probes and metrics are.
    pub fn admin_port(self) -> super::Port {
        match self {
            Self::Etcd => super::Port::EtcdMetrics,
            Self::Directory | Self::Storage | Self::Proxy | Self::Mx => super::Port::Admin,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
