//! What can be wrong with certificates, and who is to blame.

use std::path::{Path, PathBuf};

use rustls::CertificateError;
use wire::identity::{Identity, Tier};
use wire::ids::ClusterId;

/// A certificate that does not say who its holder is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The peer sent no certificate.
    #[error("the peer sent no certificate")]
    NoCertificate,
    /// Not X.509, or with a broken extension.
    #[error("the peer's certificate cannot be read")]
    Unreadable,
    /// It must have exactly one URI among its alternative names.
    #[error("a certificate names its holder by one URI, this one has {0}")]
    Uris(usize),
    /// The URI is no identity of Buzonera's.
    #[error(transparent)]
    Identity(#[from] wire::identity::IdentityError),
    /// Another cluster's certificate.
    #[error("{found} is not of cluster {expected}")]
    OtherCluster {
        /// Our cluster.
        expected: ClusterId,
        /// Who called.
        found: Identity,
    },
    /// The peer is somebody else than the one that was called.
    #[error("expected {expected}, but {found} answered")]
    OtherPeer {
        /// Who was called.
        expected: Identity,
        /// Who answered.
        found: Identity,
    },
}

/// Why certificates could not be loaded; every variant names the file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is larger than any certificate bundle has reason to be.
    #[error("{}: larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The cap in bytes.
        limit: u64,
    },
    /// A folder holds no certificate with a key.
    #[error(
        "{}: holds no cert.pem with key.pem, and no NAME.cert.pem with NAME.key.pem",
        path.display()
    )]
    NoPair {
        /// The folder.
        path: PathBuf,
    },
    /// A folder holds more certificates than are read.
    #[error("{}: holds more than {limit} certificates", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// How many are read.
        limit: usize,
    },
    /// A file holds no PEM section of the kind it should.
    #[error("{}: holds no {what} in PEM form", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// "certificate" or "private key".
        what: &'static str,
    },
    /// A certificate of the bundle cannot be a trust anchor.
    #[error("{}: not a CA certificate: {source}", path.display())]
    Anchor {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// Certificate and key do not belong together.
    #[error("{}: certificate and key do not fit: {source}", path.display())]
    Pair {
        /// The certificate file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The certificate names nobody.
    #[error("{}: {source}", path.display())]
    Identity {
        /// The certificate file.
        path: PathBuf,
        /// Why.
        source: PeerError,
    },
    /// The certificate does not verify against the CA bundle beside it, for example it has expired.
    #[error("{}: not valid under the CA bundle beside it: {source}", path.display())]
    Chain {
        /// The certificate file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// A reload would make this process somebody else.
    #[error("{}: names {found}, but this process is {expected}", path.display())]
    Changed {
        /// The certificate file.
        path: PathBuf,
        /// Who this process is.
        expected: Identity,
        /// Whom the new certificate names.
        found: Identity,
    },
    /// The folder belongs to another tier than this process is.
    #[error("{}: is for {found}, but this process is of tier {expected}", path.display())]
    Tier {
        /// The certificate file.
        path: PathBuf,
        /// The tier of this process.
        expected: Tier,
        /// Whom the certificate names.
        found: Identity,
    },
    /// The TLS library refuses the set.
    #[error("{}: {source}", path.display())]
    Tls {
        /// The certificate file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

impl LoadError {
    pub(super) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read {
            path: path.to_owned(),
            source,
        }
    }
}

/// What went wrong in a handshake, for people. The TLS library prints errors of our own verifiers
/// as Rust structures; this prints their sentence.
pub fn explain(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) => {
            other.0.to_string()
        }
        Some(inner) => inner.to_string(),
        None => error.to_string(),
    }
}
