//! Our own certificate authority: makes the identities inside a cluster, and a public certificate
//! where nobody brings one.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, Issuer, KeyPair, SanType};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use wire::identity::Identity;
use wire::ids::{ClusterId, is_label};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::tls::{CA, CERT, KEY, SERVER_NAME, peer};

mod files;
mod params;

pub use files::write_private;
pub use params::{CA_LIFETIME, LEAF_LIFETIME};

/// Name of the CA's private key, beside `ca.pem`.
const CA_KEY: &str = "ca-key.pem";

/// A certificate authority in use; its folder holds `ca.pem` and `ca-key.pem` (mode 0600).
pub struct Authority {
    cluster: ClusterId,
    ca_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// Why the authority failed; names the file or the name at fault.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// There is one already: its identities would all be foreign to a new one.
    #[error("{}: there is a CA already; a new one would void every certificate of it", .0.display())]
    Exists(PathBuf),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The certificate is not one that [`Authority::create`] made.
    #[error("{}: not the CA certificate of a Buzonera cluster", .0.display())]
    NotOurs(PathBuf),
    /// Key and certificate do not fit.
    #[error("{}: is not the key of the CA certificate beside it", .0.display())]
    OtherKey(PathBuf),
    /// An identity of another cluster.
    #[error("{identity} is not of this CA's cluster {cluster}")]
    OtherCluster {
        /// Whom a certificate was asked for.
        identity: Identity,
        /// The CA's cluster.
        cluster: ClusterId,
    },
    /// Not a host name or IP address that may stand in a public certificate.
    #[error("{0:?} cannot stand in a public certificate: write a host name or an IP address")]
    BadHost(String),
    /// The certificate library refuses.
    #[error("cannot make the certificate: {0}")]
    Certificate(#[from] rcgen::Error),
}

impl Authority {
    /// Makes a CA for a cluster. The folder may exist, a CA in it may not.
    pub fn create(dir: &Path, cluster: ClusterId) -> Result<Self, AuthorityError> {
        let (ca, ca_key) = (dir.join(CA), dir.join(CA_KEY));
        if let Some(there) = [&ca, &ca_key].into_iter().find(|path| path.exists()) {
            return Err(AuthorityError::Exists(there.clone()));
        }
        let key = KeyPair::generate()?;
        let params = params::ca(cluster)?;
        let ca_pem = params.self_signed(&key)?.pem();
        files::create_dir(dir)?;
        // The certificate comes last: a CA that is there is whole.
        files::replace(&[
            (&ca_key, key.serialize_pem().as_bytes(), files::PRIVATE),
            (&ca, ca_pem.as_bytes(), files::PUBLIC),
        ])?;
        Ok(Self {
            cluster,
            ca_pem,
            issuer: Issuer::new(params, key),
        })
    }

    /// Opens a CA that [`Self::create`] made.
    pub fn open(dir: &Path) -> Result<Self, AuthorityError> {
        let (ca, ca_key) = (dir.join(CA), dir.join(CA_KEY));
        let ca_pem = files::read(&ca)?;
        let cluster = cluster_of(&ca_pem).ok_or_else(|| AuthorityError::NotOurs(ca.clone()))?;
        let key = KeyPair::from_pem(&files::read(&ca_key)?)?;
        if !is_key_of(&key, &ca_pem) {
            return Err(AuthorityError::OtherKey(ca_key));
        }
        Ok(Self {
            cluster,
            issuer: Issuer::from_ca_cert_pem(&ca_pem, key)?,
            ca_pem,
        })
    }

    /// Whether a CA stands in this folder.
    pub fn exists(dir: &Path) -> bool {
        dir.join(CA).exists()
    }

    /// The cluster it certifies for.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// The CA's certificate in PEM form, for `curl --cacert`.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Writes an identity folder (`ca.pem`, `cert.pem`, `key.pem` with mode 0600) with a fresh key.
    /// An earlier set there is replaced, file by file; a running process takes it over.
    pub fn issue(&self, identity: &Identity, dir: &Path) -> Result<(), AuthorityError> {
        if identity.cluster() != self.cluster {
            return Err(AuthorityError::OtherCluster {
                identity: identity.clone(),
                cluster: self.cluster,
            });
        }
        self.write_leaf(params::leaf(identity)?, dir)
    }

    /// Writes a public certificate for host names and IP addresses, in the same three files. It
    /// names nobody inside the cluster and is of no use as an identity.
    pub fn issue_public(&self, hosts: &[&str], dir: &Path) -> Result<(), AuthorityError> {
        let names: Result<Vec<_>, _> = hosts.iter().map(|host| public_name(host)).collect();
        let names = names?;
        let Some(first) = hosts.first() else {
            return Err(AuthorityError::BadHost(String::new()));
        };
        self.write_leaf(params::public(first, names), dir)
    }

    fn write_leaf(&self, params: CertificateParams, dir: &Path) -> Result<(), AuthorityError> {
        let key = KeyPair::generate()?;
        let pem = params.signed_by(&key, &self.issuer)?.pem();
        files::create_dir(dir)?;
        files::replace(&[
            (
                &dir.join(KEY),
                key.serialize_pem().as_bytes(),
                files::PRIVATE,
            ),
            (&dir.join(CERT), pem.as_bytes(), files::PUBLIC),
            (&dir.join(CA), self.ca_pem.as_bytes(), files::PUBLIC),
        ])
    }
}

/// The cluster that a CA certificate names: its one URI is `spiffe://CLUSTER`, as the SPIFFE X.509
/// standard, section 3, has signing certificates name their trust domain.
fn cluster_of(ca_pem: &str) -> Option<ClusterId> {
    let der = CertificateDer::from_pem_slice(ca_pem.as_bytes()).ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    match peer::uris(&certificate).ok()?.as_slice() {
        [uri] => uri.strip_prefix("spiffe://")?.parse().ok(),
        _ => None,
    }
}

fn is_key_of(key: &KeyPair, ca_pem: &str) -> bool {
    let Ok(der) = CertificateDer::from_pem_slice(ca_pem.as_bytes()) else {
        return false;
    };
    let Ok((_, certificate)) = X509Certificate::from_der(&der) else {
        return false;
    };
    certificate.public_key().subject_public_key.as_ref() == key.public_key_raw()
}

/// A name of a public certificate; never the one that all identities share.
fn public_name(host: &str) -> Result<SanType, AuthorityError> {
    let bad = || AuthorityError::BadHost(host.chars().take(MAX_HOST).collect());
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let host = host.to_ascii_lowercase();
    if host.len() > MAX_HOST || !host.split('.').all(is_label) || host == SERVER_NAME {
        return Err(bad());
    }
    Ok(SanType::DnsName(host.try_into().map_err(|_| bad())?))
}

/// The longest host name (RFC 1035 section 2.3.4, as text).
const MAX_HOST: usize = 253;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use wire::identity::Tier;

    use super::*;
    use crate::tls::{Credentials, PublicTls};

    #[test]
    fn opens_what_it_made() {
        let dir = tempfile::tempdir().unwrap();
        let cluster = ClusterId::random();
        let made = Authority::create(dir.path(), cluster).unwrap();
        let opened = Authority::open(dir.path()).unwrap();
        assert_eq!(opened.cluster(), cluster);
        assert_eq!(opened.ca_pem(), made.ca_pem());
    }

    #[test]
    fn makes_no_second_ca() {
        let dir = tempfile::tempdir().unwrap();
        Authority::create(dir.path(), ClusterId::random()).unwrap();
        let again = Authority::create(dir.path(), ClusterId::random());
        assert!(matches!(again, Err(AuthorityError::Exists(_))));
    }

    #[test]
    fn an_identity_folder_loads_and_its_key_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let cluster = ClusterId::random();
        Authority::create(dir.path(), cluster).unwrap();
        let authority = Authority::open(dir.path()).unwrap();
        let identity = Identity::new(cluster, Tier::Mx, "mx-0").unwrap();
        let folder = dir.path().join("mx-0");
        authority.issue(&identity, &folder).unwrap();
        assert_eq!(Credentials::load(&folder).unwrap().identity(), &identity);
        for key in [folder.join(KEY), dir.path().join(CA_KEY)] {
            let mode = key.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", key.display());
        }
    }

    #[test]
    fn certifies_its_own_cluster_only() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::create(dir.path(), ClusterId::random()).unwrap();
        let other = Identity::new(ClusterId::random(), Tier::Mx, "mx-0").unwrap();
        let refused = authority.issue(&other, &dir.path().join("mx-0"));
        assert!(matches!(refused, Err(AuthorityError::OtherCluster { .. })));
    }

    #[test]
    fn a_public_certificate_is_nobody_inside() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::create(dir.path(), ClusterId::random()).unwrap();
        let folder = dir.path().join("public");
        authority
            .issue_public(&["localhost", "127.0.0.1", "::1"], &folder)
            .unwrap();
        PublicTls::load(&folder.join(CERT), &folder.join(KEY)).unwrap();
        assert!(Credentials::load(&folder).is_err());
        for bad in [SERVER_NAME, "", "a b", "-a.example", "Buzonera.Internal"] {
            let refused = authority.issue_public(&[bad], &folder);
            assert!(
                matches!(refused, Err(AuthorityError::BadHost(_))),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn refuses_another_cas_key() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Authority::create(dir.path(), ClusterId::random()).unwrap();
        Authority::create(other.path(), ClusterId::random()).unwrap();
        std::fs::copy(other.path().join(CA_KEY), dir.path().join(CA_KEY)).unwrap();
        let refused = Authority::open(dir.path());
        assert!(matches!(refused, Err(AuthorityError::OtherKey(_))));
    }
}
