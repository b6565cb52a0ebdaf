//! The addresses of a Kubernetes with nodes, of the range for tests of networks (RFC 2544).

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// All pods of all nodes.
pub(super) const PODS: &str = "198.19.128.0/17";
/// The cluster's DNS, one of the Services' addresses.
pub(super) const DNS: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 10);
/// What pods reach the API server by: the first of the Services' addresses.
pub(super) const API: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 1);

/// What this machine sees of it is one network, 198.18.NUMBER.0/24, so that several can run side by
/// side. Pods and Services are seen by nodes alone, and have the same addresses in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Net {
    number: u8,
}

impl Net {
    /// Those there are.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (100..200).map(|number| Self { number })
    }

    /// What links and control groups are called after.
    pub(super) fn name(self) -> String {
        format!("buzkube{}", self.number)
    }

    /// This machine.
    pub(super) fn here(self) -> Ipv4Addr {
        self.at(254)
    }

    /// A node; the first is 1, and has the API server.
    pub(super) fn node(self, node: u8) -> Ipv4Addr {
        self.at(node)
    }

    /// What a load balancer may announce.
    pub(super) fn balanced(self) -> impl Iterator<Item = Ipv4Addr> {
        (100..200).map(move |last| self.at(last))
    }

    fn at(self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.number, last)
    }
}

/// The pods of one node.
pub(super) fn pods(node: u8) -> String {
    format!("198.19.{}.0/24", 127 + node)
}
