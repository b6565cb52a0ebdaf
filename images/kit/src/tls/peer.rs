//! Who a certificate's holder is.

use rustls::pki_types::CertificateDer;
use wire::identity::Identity;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::error::PeerError;

/// The identity in a certificate chain: the one URI of the first certificate.
///
/// It does not verify the chain; the TLS handshake has done that.
pub fn peer_identity(chain: &[CertificateDer<'_>]) -> Result<Identity, PeerError> {
    let leaf = chain.first().ok_or(PeerError::NoCertificate)?;
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| PeerError::Unreadable)?;
    let uris = uris(&certificate)?;
    match uris.as_slice() {
        [uri] => Ok(uri.parse()?),
        _ => Err(PeerError::Uris(uris.len())),
    }
}

/// The URIs among a certificate's alternative names.
pub(crate) fn uris<'a>(certificate: &'a X509Certificate<'_>) -> Result<Vec<&'a str>, PeerError> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| PeerError::Unreadable)?;
    let names = names.iter().flat_map(|names| &names.value.general_names);
    Ok(names
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        })
        .collect())
}

/// Feeds any octets as a certificate.
pub fn fuzz(data: &[u8]) {
    let chain = [CertificateDer::from(data)];
    // Whatever it is, it must not panic; a forged identity is the handshake's to refuse.
    let _ = peer_identity(&chain);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_certificate_is_nobody() {
        assert_eq!(peer_identity(&[]), Err(PeerError::NoCertificate));
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }
    }
}
