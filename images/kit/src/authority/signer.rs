//! A CA's key at work; what it signs for is decided by whoever holds it.

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::AuthorityError;
use crate::tls::peer;

/// A certificate and its private key, both in PEM form. Prints without the key.
#[derive(Clone)]
pub struct Pair {
    /// The certificate.
    pub cert: String,
    /// The private key.
    pub key: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cert = &self.cert;
        f.debug_struct("Pair")
            .field("cert", cert)
            .finish_non_exhaustive()
    }
}

pub(super) struct Signer {
    ca_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Signer {
    /// A fresh CA.
    pub(super) fn generate(params: CertificateParams) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        Ok(Self {
            ca_pem: params.self_signed(&key)?.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// A CA that was made before.
    pub(super) fn from_pem(ca_pem: &str, key_pem: &str) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(key_pem)?;
        if !is_key_of(&key, ca_pem) {
            return Err(AuthorityError::OtherKey);
        }
        Ok(Self {
            issuer: Issuer::from_ca_cert_pem(ca_pem, key)?,
            ca_pem: ca_pem.to_owned(),
        })
    }

    pub(super) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    pub(super) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Signs for a fresh key.
    pub(super) fn sign(&self, params: CertificateParams) -> Result<Pair, AuthorityError> {
        let key = KeyPair::generate()?;
        Ok(Pair {
            cert: params.signed_by(&key, &self.issuer)?.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// The one URI in a CA's certificate.
pub(super) fn uri_of(ca_pem: &str) -> Option<String> {
    let der = CertificateDer::from_pem_slice(ca_pem.as_bytes()).ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    match peer::uris(&certificate).ok()?.as_slice() {
        [uri] => Some((*uri).to_owned()),
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
