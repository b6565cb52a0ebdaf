//! What stands in the certificates.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    SanType, date_time_ymd,
};
use wire::identity::Identity;
use wire::ids::ClusterId;

use super::store::{STORE_CLIENT_NAME, STORE_MEMBER_NAME};
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

/// What the URI in a cluster's CA begins with; its id follows. The SPIFFE X.509 standard, section 3,
/// has signing certificates name their trust domain.
pub(super) const CLUSTER_URI: &str = "spiffe://";

/// What the URI in the CA of a cluster's store begins with: no trust domain, so that neither CA is
/// ever taken for the other.
pub(super) const STORE_URI: &str = "urn:buzonera:store:";

/// When a certificate is good.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validity {
    pub(super) lifetime: Duration,
    pub(super) now: SystemTime,
}

pub(super) fn ca(cluster: ClusterId, now: SystemTime) -> Result<CertificateParams, rcgen::Error> {
    let (name, uri) = (
        format!("Buzonera CA {cluster}"),
        format!("{CLUSTER_URI}{cluster}"),
    );
    authority(&name, &uri, now)
}

pub(super) fn store_ca(
    cluster: ClusterId,
    now: SystemTime,
) -> Result<CertificateParams, rcgen::Error> {
    let (name, uri) = (
        format!("Buzonera store CA {cluster}"),
        format!("{STORE_URI}{cluster}"),
    );
    authority(&name, &uri, now)
}

fn authority(name: &str, uri: &str, now: SystemTime) -> Result<CertificateParams, rcgen::Error> {
    let lifetime = CA_LIFETIME;
    let mut params = named(name, Validity { lifetime, now });
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
    Ok(params)
}

pub(super) fn leaf(
    identity: &Identity,
    validity: Validity,
) -> Result<CertificateParams, rcgen::Error> {
    let name = format!("{} {}", identity.tier(), identity.instance());
    let names = vec![
        SanType::DnsName(SERVER_NAME.try_into()?),
        SanType::URI(identity.to_string().try_into()?),
    ];
    Ok(end_entity(&name, names, &BOTH, validity))
}

pub(super) fn public(name: &str, hosts: Vec<SanType>, validity: Validity) -> CertificateParams {
    // Not for clients: it must not pass where a client certificate is required.
    end_entity(
        name,
        hosts,
        &[ExtendedKeyUsagePurpose::ServerAuth],
        validity,
    )
}

pub(super) fn store_member(
    mut hosts: Vec<SanType>,
    validity: Validity,
) -> Result<CertificateParams, rcgen::Error> {
    hosts.insert(0, SanType::DnsName(STORE_MEMBER_NAME.try_into()?));
    Ok(end_entity(STORE_MEMBER_NAME, hosts, &BOTH, validity))
}

pub(super) fn store_client(validity: Validity) -> Result<CertificateParams, rcgen::Error> {
    let names = vec![SanType::DnsName(STORE_CLIENT_NAME.try_into()?)];
    let usage = [ExtendedKeyUsagePurpose::ClientAuth];
    Ok(end_entity(STORE_CLIENT_NAME, names, &usage, validity))
}

const BOTH: [ExtendedKeyUsagePurpose; 2] = [
    ExtendedKeyUsagePurpose::ServerAuth,
    ExtendedKeyUsagePurpose::ClientAuth,
];

fn end_entity(
    name: &str,
    names: Vec<SanType>,
    usages: &[ExtendedKeyUsagePurpose],
    validity: Validity,
) -> CertificateParams {
    let mut params = named(name, validity);
    params.subject_alt_names = names;
    params.extended_key_usages = usages.to_vec();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

/// The longest common name (RFC 5280 appendix A, ub-common-name).
const MAX_COMMON_NAME: usize = 64;

fn named(name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name: String = name.chars().take(MAX_COMMON_NAME).collect();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = validity.now.duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap_or_default();
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(BACKDATED);
    params.not_after = epoch + (now + validity.lifetime);
    params
}
