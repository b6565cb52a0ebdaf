//! Where the directory's replicas are, as configured.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use wire::identity::IdentityError;
use wire::ids::is_label;

use crate::rpc::connect::{BadEndpoint, parse_endpoint};

/// Where a replica is, and which one it is; written `INSTANCE=HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Replica {
    /// The instance in its certificate, for example "directory-0".
    pub instance: String,
    /// `host:port` of its RPC listener.
    pub endpoint: String,
}

/// A list of replicas that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadReplica {
    /// There must be one.
    #[error("no directory replica is configured")]
    None,
    /// Not of the form `INSTANCE=HOST:PORT`.
    #[error("{0:?} is not a directory replica: write INSTANCE=HOST:PORT")]
    Form(String),
    /// An endpoint is not `host:port`.
    #[error("directory replica {instance}: {source}")]
    Endpoint {
        /// Which one.
        instance: String,
        /// Why.
        source: BadEndpoint,
    },
    /// By a setting and by a file.
    #[error("directory replicas are listed twice: by a setting and in a file")]
    Twice,
    /// More than anybody runs.
    #[error("{0} directory replicas are listed: write 64 at most")]
    TooMany(usize),
    /// A list in a file cannot be used.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// An instance is not a DNS label.
    #[error(transparent)]
    Instance(#[from] IdentityError),
}

impl FromStr for Replica {
    type Err = BadReplica;

    fn from_str(text: &str) -> Result<Self, BadReplica> {
        let form = || BadReplica::Form(text.chars().take(MAX_TEXT).collect());
        let (instance, endpoint) = text.split_once('=').ok_or_else(form)?;
        if !is_label(instance) {
            return Err(form());
        }
        parse_endpoint(endpoint).map_err(|source| BadReplica::Endpoint {
            instance: instance.to_owned(),
            source,
        })?;
        Ok(Self {
            instance: instance.to_owned(),
            endpoint: endpoint.to_owned(),
        })
    }
}

impl TryFrom<String> for Replica {
    type Error = BadReplica;

    fn try_from(text: String) -> Result<Self, BadReplica> {
        text.parse()
    }
}

impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.instance, self.endpoint)
    }
}

impl From<Replica> for String {
    fn from(replica: Replica) -> Self {
        replica.to_string()
    }
}

/// As much of a bad text as an error shows.
const MAX_TEXT: usize = 100;

/// What a replica prints to is what it was read from.
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(replica) = text.parse::<Replica>() {
        assert_eq!(replica.to_string(), text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_replica_prints_as_it_is_written() {
        let text = "directory-0=directory-0.example:7400";
        let replica: Replica = text.parse().unwrap();
        assert_eq!(replica.instance, "directory-0");
        assert_eq!(replica.endpoint, "directory-0.example:7400");
        assert_eq!(replica.to_string(), text);
        for bad in [
            "",
            "directory-0",
            "=h:1",
            "directory-0=h",
            "Directory 0=h:1",
        ] {
            assert!(bad.parse::<Replica>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_replicas(text in "[a-z-]{0,3}=?[a-z.]{0,3}:?[0-9]{0,6}") {
            fuzz(text.as_bytes());
        }
    }
}
