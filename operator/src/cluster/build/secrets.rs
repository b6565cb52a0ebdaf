//! Secrets: certificates, which somebody else issues.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Facts;
use crate::cluster::Cluster;
use crate::names::labels;
use crate::names::{ClusterName, Owner, SecretOf};
use crate::objects::{Files, Kind, Object, Place, metadata};

/// Those whose content is known.
pub(super) fn all(cluster: &Cluster, facts: &Facts) -> Result<Vec<Object>, serde_json::Error> {
    let secrets = facts.secrets.iter();
    secrets
        .map(|(whose, files)| secret(cluster, &facts.owner, whose, files))
        .collect()
}

/// One of them.
pub(crate) fn secret(
    cluster: &Cluster,
    owner: &Owner,
    whose: &SecretOf,
    files: &Files,
) -> Result<Object, serde_json::Error> {
    let place = Place {
        tier: whose.tier(),
        instance: whose.instance(),
    };
    let name = whose.name(&cluster.name);
    let secret = of_files(metadata(cluster, owner, place, name), files);
    let value = serde_json::to_value(secret)?;
    Ok(Object::new(Kind::Secret, place, value))
}

/// The Secret that everything hangs on. It has no owner and stays: without it every volume would be
/// a stranger's.
pub fn root(name: &ClusterName, namespace: &str, files: &Files) -> Secret {
    let metadata = ObjectMeta {
        name: Some(name.root()),
        namespace: Some(namespace.to_owned()),
        labels: Some(labels::of_root(name)),
        ..ObjectMeta::default()
    };
    of_files(metadata, files)
}

fn of_files(metadata: ObjectMeta, files: &Files) -> Secret {
    let Files(files) = files;
    let files = files.iter();
    let data = files.map(|(name, octets)| (name.clone(), ByteString(octets.clone())));
    Secret {
        metadata,
        type_: Some("Opaque".to_owned()),
        data: Some(data.collect()),
        ..Secret::default()
    }
}
