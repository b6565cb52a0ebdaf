//! Everything that a MailCluster consists of, but its shards: a function of what is wanted and of a
//! few facts.

use std::collections::{BTreeMap, BTreeSet};

use wire::ids::ClusterId;

use super::Cluster;
use crate::names::{Owner, SecretOf};
use crate::objects::{Files, Prepared};

mod budgets;
mod claims;
mod config;
mod directory;
mod doors;
mod etcd;
mod flags;
mod mx;
mod proxy;
pub mod secrets;
mod services;

pub(crate) use claims::claim;
pub(crate) use flags::{common, flag, peers};
pub(crate) use secrets::secret;

/// What is not in the spec.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The MailCluster as an owner.
    pub owner: Owner,
    /// The id in certificates, store and volumes.
    pub cluster_id: ClusterId,
    /// Whether the store was ever this cluster's: from then on no member begins a new one.
    pub bootstrapped: bool,
    /// The fingerprint of etcd's CA.
    pub etcd_ca: String,
    /// How many proxies the StatefulSet asks for now; none: there is no StatefulSet.
    pub proxy_replicas: Option<u32>,
    /// mx that are not wanted any more and still have something to do.
    pub mx_leaving: BTreeSet<u32>,
    /// mx that are wanted again and whose doors may still be shut.
    pub mx_shut: BTreeSet<u32>,
    /// The content of Secrets; what is not here is not made.
    pub secrets: BTreeMap<SecretOf, Files>,
}

/// How many proxies there are while nobody says anything: one may restart while the other serves.
const PROXIES: u32 = 2;

impl Facts {
    /// How many proxies there are to be: as the spec says, else as whoever scales the StatefulSet
    /// said last.
    pub fn proxies(&self, cluster: &Cluster) -> u32 {
        let wanted = cluster.proxy.replicas.or(self.proxy_replicas);
        wanted.unwrap_or(PROXIES)
    }

    /// The numbers of all mx that are to run: those that leave too.
    pub fn mx(&self, cluster: &Cluster) -> BTreeSet<u32> {
        let wanted = 0..cluster.mx.replicas;
        wanted.chain(self.mx_leaving.iter().copied()).collect()
    }
}

/// Makes all objects, in the order in which they are needed: what pods read, how they are found, and
/// the pods, in the order of their tiers.
pub fn build(cluster: &Cluster, facts: &Facts) -> Result<Prepared, serde_json::Error> {
    let mut objects = secrets::all(cluster, facts)?;
    objects.extend(config::all(cluster, facts)?);
    objects.extend(services::all(cluster, &facts.owner)?);
    objects.extend(budgets::all(cluster, &facts.owner)?);
    objects.extend(etcd::all(cluster, facts)?);
    objects.push(directory::replicas(cluster, facts)?);
    objects.push(proxy::replicas(cluster, facts)?);
    objects.extend(mx::all(cluster, facts)?);
    Ok(Prepared {
        objects,
        claims: claims::all(cluster, facts)?,
    })
}
