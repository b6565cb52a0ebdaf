//! Certificates for those who come from outside.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Certificates for those who come from outside.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Certificates; a client gets the one for the name that it asks for (SNI), and the first when
    /// none fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["secretName".to_owned()]))]
    pub certificates: Vec<Certificate>,
}

/// A certificate.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// A Secret in this namespace of type kubernetes.io/tls. It is looked at again each minute; the
    /// last good one is kept.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}
