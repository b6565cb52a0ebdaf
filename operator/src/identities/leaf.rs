//! Whether a certificate is still the one that is wanted.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, SystemTime};

use kit::authority::{STORE_CLIENT_NAME, STORE_MEMBER_NAME};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Leaf, Lifetimes};

/// Whether it names whom it is to name, and is not due. `seed` tells certificates apart, so that not
/// all are due at once.
pub(super) fn is_good(
    pem: &[u8],
    leaf: &Leaf,
    lifetimes: Lifetimes,
    seed: &str,
    now: SystemTime,
) -> bool {
    let Ok(der) = CertificateDer::from_pem_slice(pem) else {
        return false;
    };
    let Ok((_, certificate)) = X509Certificate::from_der(&der) else {
        return false;
    };
    let names = names(&certificate);
    let has = |name: &str| names.iter().any(|found| found == name);
    let is_named = match leaf {
        Leaf::Identity(identity) => has(&identity.to_string()),
        Leaf::Member(hosts) => has(STORE_MEMBER_NAME) && hosts.iter().all(|host| has(host)),
        Leaf::Client => has(STORE_CLIENT_NAME),
    };
    is_named && due_of(&certificate, lifetimes, seed) > now
}

/// When a certificate is to be made anew; none: it is none.
pub(super) fn due(pem: &[u8], lifetimes: Lifetimes, seed: &str) -> Option<SystemTime> {
    let der = CertificateDer::from_pem_slice(pem).ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    Some(due_of(&certificate, lifetimes, seed))
}

/// Whether a certificate is for a host, and from this CA.
pub(super) fn is_from(ca: &str, pem: &[u8], host: &str) -> bool {
    let read = |pem: &[u8]| CertificateDer::from_pem_slice(pem).ok();
    let (Some(der), Some(ca)) = (read(pem), read(ca.as_bytes())) else {
        return false;
    };
    let (certificate, ca) = (
        X509Certificate::from_der(&der),
        X509Certificate::from_der(&ca),
    );
    let (Ok((_, certificate)), Ok((_, ca))) = (certificate, ca) else {
        return false;
    };
    certificate.issuer().as_raw() == ca.subject().as_raw()
        && names(&certificate).iter().any(|name| name == host)
}

/// A third of the lifetime before the end, give or take a sixth of that.
fn due_of(certificate: &X509Certificate<'_>, lifetimes: Lifetimes, seed: &str) -> SystemTime {
    let end = certificate.validity().not_after.timestamp();
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(end).unwrap_or(0));
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    // 0 to 1,000 thousandths of the ninth that it may be earlier or later.
    let share = u32::try_from(hasher.finish() % 1001).unwrap_or(0);
    let third = lifetimes.leaf / 3;
    let before = third - third / 6 + (third / 3) * share / 1000;
    end.checked_sub(before).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            GeneralName::DNSName(host) => Some((*host).to_owned()),
            GeneralName::IPAddress(octets) => address(octets),
            _ => None,
        })
        .collect()
}

fn address(octets: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(octets).map(std::net::IpAddr::from);
    let v6 = <[u8; 16]>::try_from(octets).map(std::net::IpAddr::from);
    v4.or(v6).ok().map(|address| address.to_string())
}
