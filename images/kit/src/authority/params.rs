//! What stands in the certificates.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    SanType, date_time_ymd,
};
use wire::identity::Identity;
use wire::ids::ClusterId;

use crate::tls::SERVER_NAME;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A CA outlives every volume it was made for: its end would stop a cluster, and nobody renews it
/// by hand in time.
pub const CA_LIFETIME: Duration = Duration::from_secs(20 * 365 * 24 * 60 * 60);

/// One year: `buzonera local` renews at each start, and a small site restarts within a year. What
/// renews by itself (the operator) renews long before the end.
pub const LEAF_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Certificates begin a day early, for machines whose clocks are behind.
const BACKDATED: Duration = DAY;

pub(super) fn ca(cluster: ClusterId) -> Result<CertificateParams, rcgen::Error> {
    let mut params = named(&format!("Buzonera CA {cluster}"), CA_LIFETIME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.subject_alt_names = vec![SanType::URI(format!("spiffe://{cluster}").try_into()?)];
    Ok(params)
}

pub(super) fn leaf(identity: &Identity) -> Result<CertificateParams, rcgen::Error> {
    let mut params = named(
        &format!("{} {}", identity.tier(), identity.instance()),
        LEAF_LIFETIME,
    );
    params.subject_alt_names = vec![
        SanType::DnsName(SERVER_NAME.try_into()?),
        SanType::URI(identity.to_string().try_into()?),
    ];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    end_entity(&mut params);
    Ok(params)
}

pub(super) fn public(name: &str, hosts: Vec<SanType>) -> CertificateParams {
    let mut params = named(name, LEAF_LIFETIME);
    params.subject_alt_names = hosts;
    // Not for clients: it must not pass where a client certificate is required.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    end_entity(&mut params);
    params
}

fn end_entity(params: &mut CertificateParams) {
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
}

/// The longest common name (RFC 5280 appendix A, ub-common-name).
const MAX_COMMON_NAME: usize = 64;

fn named(name: &str, lifetime: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name: String = name.chars().take(MAX_COMMON_NAME).collect();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(BACKDATED);
    params.not_after = epoch + (now + lifetime);
    params
}
