//! Which certificate a client is shown.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// A certificate chain with its key, and the host names that it is for.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) file: PathBuf,
    pub(super) pair: Arc<CertifiedKey>,
    /// May begin with `*.` (RFC 9525 section 6.3).
    names: Vec<String>,
}

impl Chain {
    pub(super) fn new(file: PathBuf, pair: Arc<CertifiedKey>) -> Self {
        let names = names(&pair);
        Self { file, pair, names }
    }

    fn is_for(&self, name: &str) -> bool {
        self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// The chain for a host (RFC 6066 section 3): one with just that name, else one with a name that
/// stands for it, else the first. Of these, the first whose key the client `can_verify`.
pub(super) fn choose<'a>(
    chains: &'a [Chain],
    host: Option<&str>,
    can_verify: impl Fn(&CertifiedKey) -> bool,
) -> Option<&'a Chain> {
    let host = host.unwrap_or_default();
    let wildcard = host
        .split_once('.')
        .map(|(_, domain)| format!("*.{domain}"));
    let wildcard = wildcard.unwrap_or_default();
    let exact = chains.iter().filter(|chain| chain.is_for(host));
    let standing = chains.iter().filter(|chain| chain.is_for(&wildcard));
    let mut candidates = exact.chain(standing).chain(chains);
    candidates
        .find(|chain| can_verify(&chain.pair))
        .or(chains.first())
}

/// The DNS names of a certificate; none for one that cannot be read: it is shown by default only.
fn names(pair: &CertifiedKey) -> Vec<String> {
    let leaf = pair
        .cert
        .first()
        .map(|leaf| X509Certificate::from_der(leaf));
    let Some(Ok((_, leaf))) = leaf else {
        return Vec::new();
    };
    let alternatives = leaf.subject_alternative_name().ok().flatten();
    let all = alternatives
        .iter()
        .flat_map(|names| &names.value.general_names);
    let dns = all.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    dns.collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
    use rustls::SignatureScheme;
    use rustls::pki_types::PrivateKeyDer;

    use super::*;
    use crate::tls::provider;

    fn chain(file: &str, names: &[&str]) -> Chain {
        with_key(file, names, &PKCS_ECDSA_P256_SHA256)
    }

    fn with_key(
        file: &str,
        names: &[&str],
        algorithm: &'static rcgen::SignatureAlgorithm,
    ) -> Chain {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names)
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let pair = CertifiedKey::from_der(vec![certificate.der().clone()], key, &provider());
        Chain::new(file.into(), Arc::new(pair.unwrap()))
    }

    fn shown(chains: &[Chain], host: Option<&str>) -> String {
        let chain = choose(chains, host, |_| true).unwrap();
        chain.file.display().to_string()
    }

    #[test]
    fn the_name_decides_and_the_first_is_for_all_others() {
        let chains = [
            chain("default", &["mail.example.org"]),
            chain("wild", &["*.example.net"]),
            chain("exact", &["mail.example.net", "example.com"]),
        ];
        for (host, expected) in [
            (None, "default"),
            (Some("mail.example.org"), "default"),
            (Some("imap.example.net"), "wild"),
            (Some("mail.example.net"), "exact"),
            (Some("MAIL.Example.NET"), "exact"),
            (Some("example.com"), "exact"),
            // A wildcard stands for one label.
            (Some("a.b.example.net"), "default"),
            (Some("example.net"), "default"),
            (Some("elsewhere.example"), "default"),
            (Some("localhost"), "default"),
            (Some(""), "default"),
            (Some("."), "default"),
        ] {
            assert_eq!(shown(&chains, host), expected, "{host:?}");
        }
        assert!(choose(&[], None, |_| true).is_none());
    }

    /// Two kinds of keys for one name: old clients know one, new ones both.
    #[test]
    fn a_client_is_shown_what_it_can_verify() {
        let chains = [
            with_key("new", &["mail.example.org"], &PKCS_ED25519),
            chain("old", &["mail.example.org"]),
        ];
        let with = |schemes: &[SignatureScheme]| {
            let can = |pair: &CertifiedKey| pair.key.choose_scheme(schemes).is_some();
            let chain = choose(&chains, Some("mail.example.org"), can).unwrap();
            chain.file.display().to_string()
        };
        let old = SignatureScheme::ECDSA_NISTP256_SHA256;
        assert_eq!(with(&[old]), "old");
        assert_eq!(with(&[SignatureScheme::ED25519, old]), "new");
        assert_eq!(with(&[]), "new");
    }
}
