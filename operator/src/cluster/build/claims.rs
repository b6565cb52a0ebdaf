//! Volumes. They have no owner and only labels of ours: neither the garbage collector nor a tool
//! that keeps a repository and a namespace alike takes one away.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Facts;
use crate::cluster::Cluster;
use crate::cluster::shape::Volume;
use crate::names::Tier;
use crate::names::labels::Instance;
use crate::objects::{Kind, Object, Place, kept_metadata};

/// Those of etcd and of mx; a shard's is made with the shard.
pub(super) fn all(cluster: &Cluster, facts: &Facts) -> Result<Vec<Object>, serde_json::Error> {
    let place = |tier, ordinal| Place {
        tier,
        instance: Instance::Ordinal(ordinal),
    };
    let etcd = (0..cluster.etcd.members).map(|ordinal| {
        let name = cluster.name.etcd_member(ordinal);
        claim(
            cluster,
            place(Tier::Etcd, ordinal),
            name,
            &cluster.etcd.volume,
        )
    });
    let mx = facts.mx(cluster).into_iter().map(|ordinal| {
        let name = cluster.name.mx(ordinal);
        claim(cluster, place(Tier::Mx, ordinal), name, &cluster.mx.volume)
    });
    etcd.chain(mx).collect()
}

/// One volume, for one pod at a time.
pub(crate) fn claim(
    cluster: &Cluster,
    place: Place,
    name: String,
    volume: &Volume,
) -> Result<Object, serde_json::Error> {
    let Volume { size, class } = volume;
    let size = ("storage".to_owned(), Quantity(size.to_string()));
    let claim = PersistentVolumeClaim {
        metadata: kept_metadata(cluster, place, name),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            volume_mode: Some("Filesystem".to_owned()),
            storage_class_name: class.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([size])),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    };
    let value = serde_json::to_value(claim)?;
    Ok(Object::new(Kind::PersistentVolumeClaim, place, value))
}
