//! Where images come from.

use super::{Invalid, Operator, Pinned};
use crate::pod::release::Release;

/// The registry that a spec means.
pub(super) fn registry(
    written: Option<&str>,
    operator: &Operator,
    pinned: Option<&Pinned>,
) -> Result<String, Invalid> {
    let Some(written) = written.filter(|written| !written.is_empty()) else {
        let registry = pinned.map_or(&operator.registry, |pinned| &pinned.registry);
        return Ok(registry.clone());
    };
    match is_repository(written) {
        true => Ok(written.to_owned()),
        false => Err(Invalid::Registry(written.to_owned())),
    }
}

/// The image of one of our programs.
pub(super) fn complete(registry: &str, program: &str, release: &Release) -> String {
    match registry {
        "" => format!("{program}:{release}"),
        registry => format!("{registry}/{program}:{release}"),
    }
}

/// etcd's image. It needs a tag or a digest: *latest* would be another release one day, on one of
/// three members.
pub(super) fn etcd(written: Option<&str>, operator: &Operator) -> Result<String, Invalid> {
    let Some(written) = written.filter(|written| !written.is_empty()) else {
        return Ok(operator.etcd_image.clone());
    };
    match is_image(written) {
        true => Ok(written.to_owned()),
        false => Err(Invalid::EtcdImage(written.to_owned())),
    }
}

/// `HOST[:PORT][/PATH…]` or `PATH…`, as Docker's reference grammar has it, without a tag.
fn is_repository(text: &str) -> bool {
    let (first, path) = match text.split_once('/') {
        Some((first, path)) => (first, Some(path)),
        None => (text, None),
    };
    let host = match first.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        Some(_) => return false,
        None => first,
    };
    let is_host = !host.is_empty() && host.split('.').all(wire::ids::is_label);
    let is_path = |path: &str| path.split('/').all(is_component);
    (is_host || is_component(first)) && path.is_none_or(is_path)
}

fn is_component(text: &str) -> bool {
    let is_inner =
        |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"._-".contains(&octet);
    let is_end = |octet: &u8| octet.is_ascii_lowercase() || octet.is_ascii_digit();
    let octets = text.as_bytes();
    octets.first().is_some_and(is_end)
        && octets.last().is_some_and(is_end)
        && octets.iter().copied().all(is_inner)
}

fn is_image(text: &str) -> bool {
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    let (repository, tag) = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        Some(_) | None => (name, None),
    };
    let is_tag = |tag: &str| {
        let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"._-".contains(&octet);
        (1..=128).contains(&tag.len()) && tag.bytes().all(allowed)
    };
    let is_digest = |digest: &str| {
        let hex = digest.strip_prefix("sha256:");
        hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|octet| octet.is_ascii_hexdigit()))
    };
    is_repository(repository)
        && (tag.is_some() || digest.is_some())
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_have_no_scheme_and_no_tag() {
        for good in [
            "registry.example.org",
            "registry.example.org/mail",
            "registry.example.org:5000/a/b",
            "localhost:5000",
            "buzonera",
            "10.0.0.1:5000/mail",
        ] {
            assert!(is_repository(good), "{good}");
        }
        for bad in [
            "",
            "https://registry.example.org",
            "registry.example.org/",
            "/mail",
            "Registry.example.org/mail",
            "registry.example.org/mail:1",
            "a b",
            "a//b",
            "a/-b",
        ] {
            assert!(!is_repository(bad), "{bad:?}");
        }
    }

    #[test]
    fn an_image_has_a_tag_or_a_digest() {
        let digest = format!("etcd@sha256:{}", "0a".repeat(32));
        let both = format!("a:5000/etcd:v3.6.16@sha256:{}", "0a".repeat(32));
        for good in ["gcr.io/etcd-development/etcd:v3.6.16", &digest, &both] {
            assert!(is_image(good), "{good}");
        }
        for bad in [
            "etcd",
            "a:5000/etcd",
            "etcd:",
            "etcd:a b",
            "etcd@sha256:00",
            "https://etcd:1",
        ] {
            assert!(!is_image(bad), "{bad:?}");
        }
    }
}
