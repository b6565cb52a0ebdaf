//! etcd's own CA: whoever it certifies may read and write everything that the directory keeps, so
//! no identity of the cluster is of any use there.

use std::time::{Duration, SystemTime};

use wire::ids::ClusterId;

use super::signer::{self, Pair, Signer};
use super::{AuthorityError, params, public_names};

/// The name in the certificate of every etcd member, for `--peer-cert-allowed-hostname`.
pub const STORE_MEMBER_NAME: &str = "etcd.buzonera.internal";

/// The name in the certificate of everybody who may use etcd, for `--client-cert-allowed-hostname`.
pub const STORE_CLIENT_NAME: &str = "store.buzonera.internal";

/// What a certificate of the store's CA is for.
#[derive(Debug, Clone, Copy)]
pub enum StoreRole<'a> {
    /// An etcd member, reached by clients and peers under these names and addresses, and itself a
    /// client of its peers.
    Member(&'a [&'a str]),
    /// The directory, and whoever keeps etcd in order.
    Client,
}

/// A certificate authority for one cluster's etcd.
pub struct StoreAuthority {
    signer: Signer,
}

impl StoreAuthority {
    /// Makes one for a cluster.
    pub fn generate(cluster: ClusterId, now: SystemTime) -> Result<Self, AuthorityError> {
        let params = params::store_ca(cluster, now)?;
        let signer = Signer::generate(params)?;
        Ok(Self { signer })
    }

    /// One that [`Self::generate`] made, from its certificate and key in PEM form.
    pub fn from_pem(ca_pem: &str, key_pem: &str) -> Result<Self, AuthorityError> {
        let uri = signer::uri_of(ca_pem);
        if !uri.is_some_and(|uri| uri.starts_with(params::STORE_URI)) {
            return Err(AuthorityError::NotOurs);
        }
        let signer = Signer::from_pem(ca_pem, key_pem)?;
        Ok(Self { signer })
    }

    /// The CA's certificate in PEM form.
    pub fn ca_pem(&self) -> &str {
        self.signer.ca_pem()
    }

    /// Its private key in PEM form.
    pub fn key_pem(&self) -> String {
        self.signer.key_pem()
    }

    /// A certificate with a fresh key, valid for `lifetime` from `now` on.
    pub fn issue_store(
        &self,
        role: StoreRole<'_>,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Pair, AuthorityError> {
        let validity = params::Validity { lifetime, now };
        let params = match role {
            StoreRole::Member(hosts) => params::store_member(public_names(hosts)?, validity)?,
            StoreRole::Client => params::store_client(validity)?,
        };
        self.signer.sign(params)
    }
}
