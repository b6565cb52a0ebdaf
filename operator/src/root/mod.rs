//! What a cluster is, beside its volumes: the Secret NAME-ca, made once and never deleted.
//!
//! It holds both CAs, the cluster's id, and the record of what was made. One `create` makes it, so
//! that of two operators one wins; every change names the version that it was read in.
//!
//! A new root would make every volume a stranger. So it is made only where the API server itself says
//! that there is no volume and no pod of that name.

use std::time::SystemTime;

use k8s_openapi::api::core::v1::Secret;
use kit::authority::{Authority, AuthorityError, StoreAuthority};
use kube::ResourceExt as _;
use wire::ids::ClusterId;

use crate::cluster::build::secrets;
use crate::names::ClusterName;
use crate::objects::Files;

mod ensure;
mod record;

pub(crate) use ensure::followed;
pub use ensure::{RootError, change, find, make};
pub use record::{Record, VolumeMade};

/// The id, a UUID.
const ID: &str = "cluster-id";
/// The CA of identities.
const CA: &str = "ca.pem";
/// Its private key.
const CA_KEY: &str = "ca-key.pem";
/// etcd's CA.
const STORE_CA: &str = "store-ca.pem";
/// Its private key.
const STORE_CA_KEY: &str = "store-ca-key.pem";
/// [`Record`], as JSON.
const RECORD: &str = "record";

/// A cluster's root.
pub struct Root {
    /// The id in certificates, in the store and on volumes.
    pub id: ClusterId,
    /// Makes identities.
    pub authority: Authority,
    /// Makes certificates for etcd and for those who use it.
    pub store: StoreAuthority,
    /// What was decided and made.
    pub record: Record,
    version: String,
}

/// Why a Secret is no root.
#[derive(Debug, thiserror::Error)]
pub enum Damaged {
    /// A key is missing, or is no text.
    #[error("{0} is missing or no text")]
    Missing(&'static str),
    /// The id.
    #[error("{ID} is no UUID")]
    Id,
    /// A CA.
    #[error("{0}: {1}")]
    Authority(&'static str, AuthorityError),
    /// The CA certifies for another cluster than the id says.
    #[error("{CA} is not of the cluster that {ID} names")]
    OtherCluster,
    /// The record.
    #[error("{RECORD}: {0}")]
    Record(#[from] serde_json::Error),
}

impl Root {
    fn read(secret: &Secret) -> Result<Self, Damaged> {
        let text = |key: &'static str| {
            let data = secret.data.as_ref().and_then(|data| data.get(key));
            let text = data.and_then(|data| std::str::from_utf8(&data.0).ok());
            text.ok_or(Damaged::Missing(key))
        };
        let id: ClusterId = text(ID)?.parse().map_err(|_| Damaged::Id)?;
        let authority = Authority::from_pem(text(CA)?, text(CA_KEY)?);
        let authority = authority.map_err(|error| Damaged::Authority(CA, error))?;
        let store = StoreAuthority::from_pem(text(STORE_CA)?, text(STORE_CA_KEY)?);
        let store = store.map_err(|error| Damaged::Authority(STORE_CA, error))?;
        if authority.cluster() != id {
            return Err(Damaged::OtherCluster);
        }
        Ok(Self {
            id,
            authority,
            store,
            record: serde_json::from_str(text(RECORD)?)?,
            version: secret.resource_version().unwrap_or_default(),
        })
    }
}

/// A new root.
fn secret(
    name: &ClusterName,
    namespace: &str,
    record: &Record,
    now: SystemTime,
) -> Result<Secret, AuthorityError> {
    let id = ClusterId::random();
    let authority = Authority::generate(id, now)?;
    let store = StoreAuthority::generate(id, now)?;
    let data = [
        (ID, id.to_string()),
        (CA, authority.ca_pem().to_owned()),
        (CA_KEY, authority.key_pem()),
        (STORE_CA, store.ca_pem().to_owned()),
        (STORE_CA_KEY, store.key_pem()),
        (RECORD, record.to_json()),
    ];
    let files = data.map(|(key, text)| (key.to_owned(), text.into_bytes()));
    Ok(secrets::root(name, namespace, &Files(files.into())))
}

#[cfg(test)]
pub(crate) mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    pub(crate) fn root(now: SystemTime) -> Root {
        let record = Record::new("0.1.0", "");
        let secret = secret(&"example".parse().unwrap(), "mail", &record, now).unwrap();
        Root::read(&secret).unwrap()
    }

    fn made() -> Secret {
        let record = Record::new("0.1.0", "registry.example.org");
        let name = "example".parse().unwrap();
        secret(&name, "mail", &record, SystemTime::now()).unwrap()
    }

    #[test]
    fn a_root_is_read_as_it_was_made() {
        let root = Root::read(&made()).unwrap();
        assert_eq!(root.authority.cluster(), root.id);
        assert_eq!(root.record, Record::new("0.1.0", "registry.example.org"));
        assert!(!root.record.bootstrapped);
    }

    #[test]
    fn what_is_damaged_is_named() {
        for key in [ID, CA, CA_KEY, STORE_CA, STORE_CA_KEY, RECORD] {
            for octets in [None, Some(b"?".to_vec()), Some(vec![0xff])] {
                let mut damaged = made();
                let data = damaged.data.as_mut().unwrap();
                match octets {
                    None => drop(data.remove(key)),
                    Some(octets) => drop(data.insert(key.to_owned(), ByteString(octets))),
                }
                let why = Root::read(&damaged).err().unwrap().to_string();
                let named = key.trim_end_matches("-key.pem").trim_end_matches(".pem");
                assert!(why.starts_with(named), "{key}: {why}");
            }
        }
    }

    #[test]
    fn two_clusters_are_not_mixed() {
        let (mut one, other) = (made(), made());
        let id = other.data.unwrap().remove(ID).unwrap();
        one.data.as_mut().unwrap().insert(ID.to_owned(), id);
        assert!(matches!(Root::read(&one), Err(Damaged::OtherCluster)));
    }
}
