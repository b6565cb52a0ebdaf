//! What those who come from outside are shown: certificates that somebody brings, or one of our own.
//!
//! A Secret that is missing or no good never keeps a pod from starting: what was good last stays, and
//! without that our own CA certifies the platform's name, which no mail program trusts.

use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Data, Lifetimes, NotIssued};
use crate::names::files;
use crate::root::Root;

/// From then on before its end, people are told.
const SOON: Duration = Duration::from_secs(21 * 24 * 60 * 60);

/// A Secret that somebody brings.
#[derive(Debug, Clone)]
pub struct Brought {
    /// Its name.
    pub secret: String,
    /// What is in it; none: it is not there.
    pub data: Option<Data>,
}

/// Where the public certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicState {
    /// All Secrets are good.
    Provided,
    /// Nobody brings one.
    SelfSigned,
    /// A Secret is not there.
    Missing(String),
    /// A Secret is no good: its name and why.
    Invalid(String, String),
    /// One ends soon: its name and the days that are left.
    ExpiresSoon(String, u64),
}

/// The Secret NAME-public as it is to be, and how it is.
pub fn public(
    hostname: &str,
    brought: &[Brought],
    found: &Data,
    root: &Root,
    lifetimes: Lifetimes,
    now: SystemTime,
) -> Result<(Data, PublicState), NotIssued> {
    let mut data = Data::new();
    let mut state = match brought {
        [] => PublicState::SelfSigned,
        _ => PublicState::Provided,
    };
    for (place, secret) in brought.iter().enumerate() {
        let names = names(place, &secret.secret);
        let pair = match read(secret, now) {
            Ok((pair, left)) => {
                if left < SOON && state == PublicState::Provided {
                    let days = left.as_secs() / (24 * 60 * 60);
                    state = PublicState::ExpiresSoon(secret.secret.clone(), days);
                }
                Some(pair)
            }
            Err(why) => {
                state = why;
                found
                    .get(&names.0)
                    .cloned()
                    .zip(found.get(&names.1).cloned())
            }
        };
        if let Some((cert, key)) = pair {
            data.insert(names.0, cert);
            data.insert(names.1, key);
        }
    }
    if !data.contains_key(files::CERT) {
        let (cert, key) = own(hostname, found, root, lifetimes, now)?;
        data.insert(files::CERT.to_owned(), cert);
        data.insert(files::KEY.to_owned(), key);
    }
    Ok((data, state))
}

/// The first is the default one.
fn names(place: usize, secret: &str) -> (String, String) {
    match place {
        0 => (files::CERT.to_owned(), files::KEY.to_owned()),
        _ => files::pair(secret),
    }
}

type Octets = (Vec<u8>, Vec<u8>);

/// The pair, and how long it lasts.
fn read(secret: &Brought, now: SystemTime) -> Result<(Octets, Duration), PublicState> {
    let name = || secret.secret.clone();
    let data = secret.data.as_ref();
    let data = data.ok_or_else(|| PublicState::Missing(name()))?;
    let invalid = |why: &str| PublicState::Invalid(name(), why.to_owned());
    let pair = data.get(files::TLS_CERT).zip(data.get(files::TLS_KEY));
    let (cert, key) = pair.ok_or_else(|| invalid("it has no tls.crt or no tls.key"))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| invalid("tls.crt is no certificate in PEM form"))?;
    let parsed = X509Certificate::from_der(&chain[0]);
    let (_, leaf) = parsed.map_err(|_| invalid("tls.crt is no certificate"))?;
    let end = u64::try_from(leaf.validity().not_after.timestamp()).unwrap_or(0);
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(end);
    let left = end
        .duration_since(now)
        .map_err(|_| invalid("tls.crt has expired"))?;
    let private = PrivateKeyDer::from_pem_slice(key);
    let private = private.map_err(|_| invalid("tls.key is no private key in PEM form"))?;
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, private, &provider)
        .map_err(|_| invalid("tls.key is not the key of tls.crt"))?;
    Ok(((cert.clone(), key.clone()), left))
}

/// Our own, or what was good last.
fn own(
    hostname: &str,
    found: &Data,
    root: &Root,
    lifetimes: Lifetimes,
    now: SystemTime,
) -> Result<Octets, NotIssued> {
    let last = found.get(files::CERT).zip(found.get(files::KEY));
    if let Some((cert, key)) = last
        && super::leaf::due(cert, lifetimes, hostname).is_some_and(|due| due > now)
        && super::leaf::is_from(root.authority.ca_pem(), cert, hostname)
    {
        return Ok((cert.clone(), key.clone()));
    }
    let pair = root
        .authority
        .issue_public_pem(&[hostname], lifetimes.leaf, now)?;
    Ok((pair.cert.into_bytes(), pair.key.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::tests::root;

    const HOST: &str = "mail.example.org";

    const LIFETIMES: Lifetimes = Lifetimes {
        leaf: Duration::from_secs(90 * 24 * 60 * 60),
    };

    fn days(days: u64) -> Duration {
        Duration::from_secs(days * 24 * 60 * 60)
    }

    /// Of another CA than the cluster's.
    fn brought(secret: &str, lifetime: Duration, now: SystemTime) -> Brought {
        let theirs = root(now);
        let pair = theirs
            .authority
            .issue_public_pem(&[HOST], lifetime, now)
            .unwrap();
        let data = [(files::TLS_CERT, pair.cert), (files::TLS_KEY, pair.key)];
        let data = data.map(|(key, text)| (key.to_owned(), text.into_bytes()));
        Brought {
            secret: secret.to_owned(),
            data: Some(Data::from(data)),
        }
    }

    fn shown(
        root: &Root,
        brought: &[Brought],
        found: &Data,
        now: SystemTime,
    ) -> (Data, PublicState) {
        public(HOST, brought, found, root, LIFETIMES, now).unwrap()
    }

    #[test]
    fn without_a_certificate_it_is_our_own_until_it_is_due() {
        let now = SystemTime::now();
        let root = root(now);
        let (first, state) = shown(&root, &[], &Data::new(), now);
        assert_eq!(state, PublicState::SelfSigned);
        assert_eq!(shown(&root, &[], &first, now + days(50)).0, first);
        assert_ne!(shown(&root, &[], &first, now + days(66)).0, first);
        let renamed = public("mx.example.org", &[], &first, &root, LIFETIMES, now);
        assert_ne!(renamed.unwrap().0, first);
    }

    #[test]
    fn the_first_is_the_default_and_others_have_their_names() {
        let now = SystemTime::now();
        let root = root(now);
        let both = [brought("one", days(80), now), brought("two", days(80), now)];
        let (data, state) = shown(&root, &both, &Data::new(), now);
        assert_eq!(state, PublicState::Provided);
        let keys: Vec<_> = data.keys().map(String::as_str).collect();
        assert_eq!(keys, ["cert.pem", "key.pem", "two.cert.pem", "two.key.pem"]);
        // Whoever takes theirs away gets ours, though theirs would still be good.
        let (own, state) = shown(&root, &[], &data, now);
        assert_eq!(state, PublicState::SelfSigned);
        assert_ne!(own[files::CERT], data[files::CERT]);
        let (_, state) = shown(&root, &both, &data, now + days(69));
        assert_eq!(state, PublicState::ExpiresSoon("one".to_owned(), 10));
    }

    #[test]
    fn what_was_good_last_stays() {
        let now = SystemTime::now();
        let root = root(now);
        let good = brought("one", days(80), now);
        let (data, _) = shown(&root, std::slice::from_ref(&good), &Data::new(), now);
        let gone = Brought {
            data: None,
            ..good.clone()
        };
        let mut mixed = brought("one", days(80), now);
        let other = good.data.clone().unwrap().remove(files::TLS_KEY).unwrap();
        mixed
            .data
            .as_mut()
            .unwrap()
            .insert(files::TLS_KEY.to_owned(), other);
        let mut odd = good.clone();
        odd.data
            .as_mut()
            .unwrap()
            .insert(files::TLS_CERT.to_owned(), b"?".to_vec());
        let old = brought("one", days(80), now - days(81));
        for (bad, expected) in [
            (gone, "gone"),
            (mixed, "tls.key is not the key of tls.crt"),
            (odd, "tls.crt is no certificate in PEM form"),
            (old, "tls.crt has expired"),
        ] {
            let (kept, state) = shown(&root, std::slice::from_ref(&bad), &data, now);
            assert_eq!(kept, data, "{expected}");
            match state {
                PublicState::Missing(_) => assert_eq!(expected, "gone"),
                PublicState::Invalid(_, why) => assert_eq!(why, expected),
                other => panic!("{other:?}"),
            }
            let (own, _) = shown(&root, &[bad], &Data::new(), now);
            assert!(own.contains_key(files::CERT), "a pod can always start");
        }
    }
}
