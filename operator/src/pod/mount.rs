//! What a container finds on its file system. Whole folders, never single files: those would keep
//! the content that they had when the container began.

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, PersistentVolumeClaimVolumeSource, SecretVolumeSource, Volume,
    VolumeMount,
};

/// Where things are mounted.
pub(crate) mod folders {
    /// The volume of an etcd member or a shard.
    pub(crate) const DATA: &str = "/data";
    /// An mx' spool.
    pub(crate) const SPOOL: &str = "/spool";
    /// The pod's identity.
    pub(crate) const ID: &str = "/id";
    /// The list of directory replicas.
    pub(crate) const PEERS: &str = "/peers";
    /// What clients from outside are shown.
    pub(crate) const PUBLIC: &str = "/public";
    /// An administrator's identity.
    pub(crate) const ADMIN: &str = "/admin";
    /// The directory's identity towards its store.
    pub(crate) const STORE: &str = "/store";
    /// The CA of those who may hand mail in.
    pub(crate) const CLIENT_CA: &str = "/client-ca";
    /// etcd's own certificate.
    pub(crate) const TLS: &str = "/tls";
}

/// A folder of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The volume's name in the pod.
    pub(crate) name: &'static str,
    /// Where it is.
    pub(crate) path: &'static str,
    /// What is there.
    pub(crate) source: Source,
}

/// What a folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A volume, by its claim.
    Claim(String),
    /// A Secret's files.
    Secret(String),
    /// Those of a Secret that somebody else makes; the pod starts without it, and finds them once
    /// they are there.
    OthersSecret(String),
    /// A ConfigMap's files.
    Config(String),
}

/// Readable by the process' group, which is the pod's `fsGroup`.
const PRIVATE: i32 = 0o440;
/// Readable by everybody in the pod.
const OPEN: i32 = 0o444;

impl Mount {
    pub(crate) fn volume(&self) -> Volume {
        let mut volume = Volume {
            name: self.name.to_owned(),
            ..Volume::default()
        };
        match &self.source {
            Source::Claim(name) => {
                volume.persistent_volume_claim = Some(PersistentVolumeClaimVolumeSource {
                    claim_name: name.clone(),
                    read_only: None,
                });
            }
            Source::Secret(name) => volume.secret = Some(secret(name, None)),
            Source::OthersSecret(name) => volume.secret = Some(secret(name, Some(true))),
            Source::Config(name) => {
                volume.config_map = Some(ConfigMapVolumeSource {
                    name: name.clone(),
                    default_mode: Some(OPEN),
                    ..ConfigMapVolumeSource::default()
                });
            }
        }
        volume
    }

    pub(crate) fn mount(&self) -> VolumeMount {
        let read_only = match self.source {
            Source::Claim(_) => None,
            Source::Secret(_) | Source::OthersSecret(_) | Source::Config(_) => Some(true),
        };
        VolumeMount {
            name: self.name.to_owned(),
            mount_path: self.path.to_owned(),
            read_only,
            ..VolumeMount::default()
        }
    }
}

fn secret(name: &str, optional: Option<bool>) -> SecretVolumeSource {
    SecretVolumeSource {
        secret_name: Some(name.to_owned()),
        default_mode: Some(PRIVATE),
        optional,
        items: None,
    }
}
