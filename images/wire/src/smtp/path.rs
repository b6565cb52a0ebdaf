//! `<path>` in MAIL and RCPT (RFC 5321 section 4.1.2).

use std::fmt;

use crate::address::{Address, Domain};

/// Where bounces go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReversePath {
    /// `<>`: a notification, which must not be answered by another.
    Null,
    /// `<local@domain>`.
    Address(Address),
}

/// To whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardPath {
    /// `<postmaster>` without a domain (RFC 5321 section 4.5.1).
    Postmaster,
    /// `<local@domain>`.
    Address(Address),
}

/// Text that is not a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PathError(String);

impl ReversePath {
    /// Reads a path at the start of `text`; also gives what follows it.
    pub fn parse(text: &str) -> Result<(Self, &str), PathError> {
        let (inner, rest) = enclosed(text)?;
        if inner.is_empty() {
            return Ok((Self::Null, rest));
        }
        Ok((Self::Address(mailbox(inner)?), rest))
    }

    /// Whether it is `<>`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl fmt::Display for ReversePath {
    /// The address without angle brackets; nothing for `<>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl ForwardPath {
    /// Reads a path at the start of `text`; also gives what follows it.
    pub fn parse(text: &str) -> Result<(Self, &str), PathError> {
        let (inner, rest) = enclosed(text)?;
        if inner.eq_ignore_ascii_case("postmaster") {
            return Ok((Self::Postmaster, rest));
        }
        Ok((Self::Address(mailbox(inner)?), rest))
    }
}

impl fmt::Display for ForwardPath {
    /// The address without angle brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("postmaster"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// What is between `<` and the `>` that is not in quotes, and what follows.
fn enclosed(text: &str) -> Result<(&str, &str), PathError> {
    let inner = text.strip_prefix('<');
    let inner = inner.ok_or_else(|| PathError("write the address in <angle brackets>".into()))?;
    let (mut quoted, mut escaped) = (false, false);
    for (at, octet) in inner.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Ok((&inner[..at], &inner[at + 1..])),
            _ => {}
        }
    }
    Err(PathError("the closing > is missing".into()))
}

/// Path without brackets = [ A-d-l ":" ] Mailbox. Source routes are checked and then ignored, as
/// RFC 5321 appendix C says: only the last address counts.
fn mailbox(text: &str) -> Result<Address, PathError> {
    let address = if text.starts_with('@') {
        let (route, address) = text
            .split_once(':')
            .ok_or_else(|| PathError("a source route ends with ':'".into()))?;
        for hop in route.split(',') {
            let hop = hop.strip_prefix('@').unwrap_or_default();
            hop.parse::<Domain>()
                .map_err(|error| PathError(error.to_string()))?;
        }
        address
    } else {
        text
    };
    address
        .parse()
        .map_err(|error: crate::address::AddressError| PathError(error.to_string()))
}

/// What is read as a path prints as one that is read alike, and what follows it is untouched.
pub(super) fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok((path, rest)) = ReversePath::parse(text) {
        assert!(text.ends_with(rest));
        assert_eq!(ReversePath::parse(&format!("<{path}>")), Ok((path, "")));
    }
    if let Ok((path, rest)) = ForwardPath::parse(text) {
        assert!(text.ends_with(rest));
        assert_eq!(ForwardPath::parse(&format!("<{path}>")), Ok((path, "")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_told_apart() {
        assert_eq!(ReversePath::parse("<>").unwrap(), (ReversePath::Null, ""));
        let (path, rest) = ReversePath::parse("<a@b.example> SIZE=1").unwrap();
        assert_eq!(
            (path.to_string().as_str(), rest),
            ("a@b.example", " SIZE=1")
        );
        assert!(ReversePath::parse("<postmaster>").is_err());
        let (path, _) = ForwardPath::parse("<PostMaster>").unwrap();
        assert_eq!(path, ForwardPath::Postmaster);
        assert!(ForwardPath::parse("<>").is_err());
    }

    #[test]
    fn source_routes_are_ignored() {
        for text in [
            "<@a.example:c@d.example>",
            "<@a.example,@b.example:c@d.example>",
        ] {
            assert_eq!(
                ForwardPath::parse(text).unwrap().0.to_string(),
                "c@d.example"
            );
        }
        for bad in [
            "<@a.example>",
            "<@a.example,b.example:c@d>",
            "<@:c@d>",
            "<a@b:c@d>",
        ] {
            assert!(ForwardPath::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn quotes_hide_brackets() {
        let (path, rest) = ForwardPath::parse("<\"a>\\\"b\"@c.example>x").unwrap();
        assert_eq!(
            (path.to_string().as_str(), rest),
            ("\"a>\\\"b\"@c.example", "x")
        );
        for bad in [
            "a@b.example",
            "<a@b.example",
            "<\"a>",
            "<a@b.example>>".split_at(12).0,
        ] {
            assert!(ForwardPath::parse(bad).is_err(), "{bad}");
        }
    }
}
