//! Where a cluster's members run: all on this machine, or each on one of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Result;

use crate::network::Lan;
use crate::ports;

/// Addresses for members.
pub struct Places {
    lan: Option<Lan>,
}

impl Places {
    /// All on this machine, on loopback.
    pub fn together() -> Self {
        Self { lan: None }
    }

    /// Each on a machine of its own, whose cable can be pulled.
    pub fn apart(lan: Lan) -> Self {
        Self { lan: Some(lan) }
    }

    /// The network between them, if they are apart.
    pub fn lan(&self) -> Option<&Lan> {
        self.lan.as_ref()
    }

    /// A new address of `member`.
    pub(super) fn address(&self, member: &str) -> Result<SocketAddr> {
        let at: IpAddr = match &self.lan {
            Some(lan) => lan.address(member)?,
            None => Ipv4Addr::LOCALHOST.into(),
        };
        Ok((at, ports::free()?).into())
    }

    /// The words that put a program to where `member` runs.
    pub(super) fn onto(&self, member: &str) -> Vec<String> {
        let lan = self.lan.as_ref();
        lan.map(|lan| lan.onto(member)).unwrap_or_default()
    }
}
