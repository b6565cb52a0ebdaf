//! Our own certificate authorities: one makes the identities inside a cluster, and a public
//! certificate where nobody brings one; another certifies who may use its store.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::SanType;
use wire::identity::Identity;
use wire::ids::{ClusterId, is_label};

use crate::tls::{CA, CERT, KEY, SERVER_NAME};

mod files;
mod params;
mod signer;
mod store;

pub use files::write_private;
pub use params::{CA_LIFETIME, LEAF_LIFETIME};
pub use signer::Pair;
pub use store::{STORE_CLIENT_NAME, STORE_MEMBER_NAME, StoreAuthority, StoreRole};

use params::{CLUSTER_URI, Validity};
use signer::Signer;

/// Name of the CA's private key, beside `ca.pem`.
const CA_KEY: &str = "ca-key.pem";

/// A cluster's certificate authority. Kept in a folder it is `ca.pem` and `ca-key.pem` (mode 0600).
pub struct Authority {
    cluster: ClusterId,
    signer: Signer,
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
    /// What lies in a folder is no CA that [`Authority::create`] made.
    #[error("{}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: Box<AuthorityError>,
    },
    /// The certificate is not one that we made for this purpose.
    #[error("the CA's certificate is not that of a Buzonera cluster")]
    NotOurs,
    /// Key and certificate do not fit.
    #[error("the CA's key and certificate do not belong together")]
    OtherKey,
    /// An identity of another cluster.
    #[error("{identity} is not of this CA's cluster {cluster}")]
    OtherCluster {
        /// Whom a certificate was asked for.
        identity: Identity,
        /// The CA's cluster.
        cluster: ClusterId,
    },
    /// Not a host name or IP address that may stand in a certificate for servers.
    #[error("{0:?} cannot stand in a certificate: write a host name or an IP address")]
    BadHost(String),
    /// The certificate library refuses.
    #[error("cannot make the certificate: {0}")]
    Certificate(#[from] rcgen::Error),
}

impl Authority {
    /// Makes a CA for a cluster, in memory.
    pub fn generate(cluster: ClusterId, now: SystemTime) -> Result<Self, AuthorityError> {
        let signer = Signer::generate(params::ca(cluster, now)?)?;
        Ok(Self { cluster, signer })
    }

    /// A CA that [`Self::generate`] made, from its certificate and key in PEM form.
    pub fn from_pem(ca_pem: &str, key_pem: &str) -> Result<Self, AuthorityError> {
        let cluster = cluster_of(ca_pem).ok_or(AuthorityError::NotOurs)?;
        let signer = Signer::from_pem(ca_pem, key_pem)?;
        Ok(Self { cluster, signer })
    }

    /// Makes a CA for a cluster in a folder, which may exist; a CA in it may not.
    pub fn create(dir: &Path, cluster: ClusterId) -> Result<Self, AuthorityError> {
        let (ca, ca_key) = (dir.join(CA), dir.join(CA_KEY));
        if let Some(there) = [&ca, &ca_key].into_iter().find(|path| path.exists()) {
            return Err(AuthorityError::Exists(there.clone()));
        }
        let this = Self::generate(cluster, SystemTime::now())?;
        files::create_dir(dir)?;
        // The certificate comes last: a CA that is there is whole.
        files::replace(&[
            (&ca_key, this.key_pem().as_bytes(), files::PRIVATE),
            (&ca, this.ca_pem().as_bytes(), files::PUBLIC),
        ])?;
        Ok(this)
    }

    /// Opens a CA that [`Self::create`] made.
    pub fn open(dir: &Path) -> Result<Self, AuthorityError> {
        let (ca, key) = (files::read(&dir.join(CA))?, files::read(&dir.join(CA_KEY))?);
        Self::from_pem(&ca, &key).map_err(|source| AuthorityError::Folder {
            path: dir.to_owned(),
            source: Box::new(source),
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
        self.signer.ca_pem()
    }

    /// Its private key in PEM form.
    pub fn key_pem(&self) -> String {
        self.signer.key_pem()
    }

    /// An identity with a fresh key, valid for `lifetime` from `now` on.
    pub fn issue_pem(
        &self,
        identity: &Identity,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Pair, AuthorityError> {
        if identity.cluster() != self.cluster {
            return Err(AuthorityError::OtherCluster {
                identity: identity.clone(),
                cluster: self.cluster,
            });
        }
        let validity = Validity { lifetime, now };
        self.signer.sign(params::leaf(identity, validity)?)
    }

    /// Writes an identity folder (`ca.pem`, `cert.pem`, `key.pem` with mode 0600) with a fresh key.
    /// An earlier set there is replaced, file by file; a running process takes it over.
    pub fn issue(&self, identity: &Identity, dir: &Path) -> Result<(), AuthorityError> {
        self.issue_for(identity, dir, LEAF_LIFETIME, SystemTime::now())
    }

    /// Likewise, valid for `lifetime` from `now` on.
    pub fn issue_for(
        &self,
        identity: &Identity,
        dir: &Path,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<(), AuthorityError> {
        let pair = self.issue_pem(identity, lifetime, now)?;
        self.write(&pair, dir)
    }

    /// A public certificate for host names and IP addresses, with a fresh key. It names nobody
    /// inside the cluster and is of no use as an identity.
    pub fn issue_public_pem(
        &self,
        hosts: &[&str],
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Pair, AuthorityError> {
        let names = public_names(hosts)?;
        let Some(first) = hosts.first() else {
            return Err(AuthorityError::BadHost(String::new()));
        };
        let validity = Validity { lifetime, now };
        self.signer.sign(params::public(first, names, validity))
    }

    /// Writes one, in the same three files as an identity.
    pub fn issue_public(&self, hosts: &[&str], dir: &Path) -> Result<(), AuthorityError> {
        let pair = self.issue_public_pem(hosts, LEAF_LIFETIME, SystemTime::now())?;
        self.write(&pair, dir)
    }

    fn write(&self, pair: &Pair, dir: &Path) -> Result<(), AuthorityError> {
        files::create_dir(dir)?;
        files::replace(&[
            (&dir.join(KEY), pair.key.as_bytes(), files::PRIVATE),
            (&dir.join(CERT), pair.cert.as_bytes(), files::PUBLIC),
            (&dir.join(CA), self.ca_pem().as_bytes(), files::PUBLIC),
        ])
    }
}

fn cluster_of(ca_pem: &str) -> Option<ClusterId> {
    let uri = signer::uri_of(ca_pem)?;
    uri.strip_prefix(CLUSTER_URI)?.parse().ok()
}

fn public_names(hosts: &[&str]) -> Result<Vec<SanType>, AuthorityError> {
    hosts.iter().map(|host| public_name(host)).collect()
}

/// A name of a certificate for servers; never the one that all identities share.
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
        PublicTls::load(&folder).unwrap();
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
        let refused = Authority::open(dir.path()).err().unwrap();
        let AuthorityError::Folder { path, source } = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(path, dir.path());
        assert!(matches!(*source, AuthorityError::OtherKey));
    }

    #[test]
    fn in_memory_it_is_the_same_authority() {
        let (cluster, now) = (ClusterId::random(), SystemTime::now());
        let made = Authority::generate(cluster, now).unwrap();
        let again = Authority::from_pem(made.ca_pem(), &made.key_pem()).unwrap();
        assert_eq!(again.cluster(), cluster);
        let identity = Identity::new(cluster, Tier::Operator, "operator").unwrap();
        let pair = again.issue_pem(&identity, DAY, now).unwrap();
        assert!(!format!("{pair:?}").contains("PRIVATE KEY"));
        let folder = tempfile::tempdir().unwrap();
        made.write(&pair, folder.path()).unwrap();
        let loaded = Credentials::load(&folder).unwrap();
        assert_eq!(loaded.identity(), &identity);
        let until = now.duration_since(SystemTime::UNIX_EPOCH).unwrap() + DAY;
        assert_eq!(loaded.reloads().expires(), until.as_secs().cast_signed());
    }

    #[test]
    fn an_identity_ends_with_its_lifetime() {
        let cluster = ClusterId::random();
        let long_ago = SystemTime::now() - DAY * 3;
        let authority = Authority::generate(cluster, long_ago).unwrap();
        let identity = Identity::new(cluster, Tier::Mx, "mx-0").unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (lifetime, is_good) in [(DAY, false), (DAY * 4, true)] {
            let pair = authority.issue_pem(&identity, lifetime, long_ago).unwrap();
            authority.write(&pair, folder.path()).unwrap();
            assert_eq!(Credentials::load(&folder).is_ok(), is_good);
        }
    }

    #[test]
    fn the_stores_authority_is_another() {
        let (cluster, now) = (ClusterId::random(), SystemTime::now());
        let ours = Authority::generate(cluster, now).unwrap();
        let stores = StoreAuthority::generate(cluster, now).unwrap();
        StoreAuthority::from_pem(stores.ca_pem(), &stores.key_pem()).unwrap();
        let (a, b) = (
            Authority::from_pem(stores.ca_pem(), &stores.key_pem()).err(),
            StoreAuthority::from_pem(ours.ca_pem(), &ours.key_pem()).err(),
        );
        assert!(matches!(a, Some(AuthorityError::NotOurs)), "{a:?}");
        assert!(matches!(b, Some(AuthorityError::NotOurs)), "{b:?}");
        let mixed = StoreAuthority::from_pem(stores.ca_pem(), &ours.key_pem()).err();
        assert!(matches!(mixed, Some(AuthorityError::OtherKey)), "{mixed:?}");
    }

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
}
