//! What was decided and made for a cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use serde::{Deserialize, Serialize};

/// The record in a cluster's root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The release of a spec that names none.
    pub release: String,
    /// The registry of a spec that names none.
    pub registry: String,
    /// The store was made this cluster's: one that is empty since has lost everything.
    #[serde(default)]
    pub bootstrapped: bool,
    /// Every volume, by its claim's name.
    #[serde(default)]
    pub volumes: BTreeMap<String, VolumeMade>,
}

/// How far the making of a volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum VolumeMade {
    /// It is about to be made: whether it is there has to be looked up.
    Planned,
    /// It was made: one that is missing is lost, and never made anew.
    Made,
}

impl Record {
    /// Of a cluster of which nothing was made.
    pub fn new(release: impl Into<String>, registry: impl Into<String>) -> Self {
        Self {
            release: release.into(),
            registry: registry.into(),
            bootstrapped: false,
            volumes: BTreeMap::new(),
        }
    }

    /// That of a root, as far as it can be read.
    pub(crate) fn of(secret: &Secret) -> Option<Self> {
        let octets = secret.data.as_ref()?.get(super::RECORD)?;
        serde_json::from_slice(&octets.0).ok()
    }

    pub(super) fn to_json(&self) -> String {
        // Text keys and plain values always make JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut record = Record::new("0.1.0", "");
        record.bootstrapped = true;
        record.volumes.insert("a-0".to_owned(), VolumeMade::Made);
        record.volumes.insert("a-1".to_owned(), VolumeMade::Planned);
        let json = record.to_json();
        assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record);
        assert!(json.contains(r#""a-1":"planned""#), "{json}");
    }
}
