//! ConfigMaps: what pods are told and may change without a restart.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::Facts;
use super::etcd::url;
use crate::cluster::Cluster;
use crate::names::labels::Instance;
use crate::names::{Owner, Port, Tier, files};
use crate::objects::{Kind, Object, Place, metadata};

/// Both.
pub(super) fn all(cluster: &Cluster, facts: &Facts) -> Result<Vec<Object>, serde_json::Error> {
    let name = &cluster.name;
    let owner = &facts.owner;
    Ok(vec![
        map(
            cluster,
            owner,
            Tier::Etcd,
            name.etcd(),
            etcd(cluster, facts),
        )?,
        map(
            cluster,
            owner,
            Tier::Directory,
            name.peers(),
            peers(cluster),
        )?,
    ])
}

/// What a member starts with. Where it may begin a new store, two members that lost their disks
/// would be an empty quorum of the same cluster, and the third would join them in silence: so none
/// may, once there was a store.
fn etcd(cluster: &Cluster, facts: &Facts) -> Vec<(&'static str, String)> {
    let members = (0..cluster.etcd.members).map(|ordinal| {
        let peer = url(&cluster.name.etcd_host(ordinal), Port::EtcdPeer);
        format!("{}={peer}", cluster.name.etcd_member(ordinal))
    });
    let state = match facts.bootstrapped {
        true => "existing",
        false => "new",
    };
    vec![
        (
            files::ETCD_INITIAL_CLUSTER,
            members.collect::<Vec<_>>().join(","),
        ),
        (files::ETCD_INITIAL_CLUSTER_STATE, state.to_owned()),
    ]
}

/// The directory's replicas, for all tiers.
fn peers(cluster: &Cluster) -> Vec<(&'static str, String)> {
    let lines = (0..cluster.directory.replicas).map(|ordinal| {
        let instance = cluster.name.directory_replica(ordinal);
        let host = cluster.name.directory_host(ordinal);
        format!("{instance}={host}:{}\n", Port::DirectoryRpc.number())
    });
    vec![(files::PEERS, lines.collect())]
}

fn map(
    cluster: &Cluster,
    owner: &Owner,
    tier: Tier,
    name: String,
    data: Vec<(&str, String)>,
) -> Result<Object, serde_json::Error> {
    let place = Place {
        tier,
        instance: Instance::All,
    };
    let pairs = data.into_iter();
    let data: BTreeMap<_, _> = pairs.map(|(key, text)| (key.to_owned(), text)).collect();
    let map = ConfigMap {
        metadata: metadata(cluster, owner, place, name),
        data: Some(data),
        ..ConfigMap::default()
    };
    let value = serde_json::to_value(map)?;
    Ok(Object::new(Kind::ConfigMap, place, value))
}
