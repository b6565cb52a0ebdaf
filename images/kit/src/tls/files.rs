//! Certificates, keys and bundles on disk.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::error::LoadError;
use super::provider;

/// No bundle of a few CAs, chain or key comes near this.
const MAX_FILE: u64 = 1 << 20;

/// A chain and its key, which must fit.
pub(super) fn load_pair(cert: &Path, key: &Path) -> Result<CertifiedKey, LoadError> {
    let chain = load_certificates(cert)?;
    let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| no_pem(key, "private key"))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|source| LoadError::Pair {
        path: cert.to_owned(),
        source,
    })
}

/// A bundle of one or more CAs, all of them trusted.
pub(super) fn roots(
    certificates: &[CertificateDer<'static>],
    path: &Path,
) -> Result<RootCertStore, LoadError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots
            .add(certificate.clone())
            .map_err(|source| LoadError::Anchor {
                path: path.to_owned(),
                source,
            })?;
    }
    Ok(roots)
}

pub(super) fn load_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let pem = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(no_pem(path, "certificate")),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let file = File::open(path).map_err(|error| LoadError::read(path, error))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| LoadError::read(path, error))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(LoadError::TooLarge {
            path: path.to_owned(),
            limit: MAX_FILE,
        });
    }
    Ok(bytes)
}

pub(super) fn no_pem(path: &Path, what: &'static str) -> LoadError {
    LoadError::Pem {
        path: PathBuf::from(path),
        what,
    }
}
