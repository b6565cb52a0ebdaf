//! Domains: names and address literals.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

use super::AddressError;

/// A domain name as lower-case A-labels, or an address literal (RFC 5321 section 4.1.3).
///
/// Reads U-labels too (RFC 5890); `[192.0.2.1]` and `[IPv6:2001:db8::1]` are the literals.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Box<str>);

impl Domain {
    /// The longest domain (RFC 5321 section 4.5.3.1.2).
    pub const MAX_OCTETS: usize = 255;

    /// The domain as it is compared and printed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is an address literal and not a name.
    pub fn is_literal(&self) -> bool {
        self.0.starts_with('[')
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Domain {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = |rule| AddressError::new("a domain", text, rule);
        if text.len() > Self::MAX_OCTETS {
            return Err(wrong("it has more than 255 octets"));
        }
        if let Some(rest) = text.strip_prefix('[') {
            let inner = rest.strip_suffix(']');
            let address = inner.and_then(literal);
            let address =
                address.ok_or_else(|| wrong("write [192.0.2.1] or [IPv6:2001:db8::1]"))?;
            return Ok(Self(print(address).into_boxed_str()));
        }
        // sub-domain = Let-dig [Ldh-str]; hyphens in third and fourth place exist in real names.
        let ascii = Uts46::new().to_ascii(
            text.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
            DnsLength::Verify,
        );
        let name =
            ascii.map_err(|_| wrong("write labels of letters, digits and '-' (RFC 1123)"))?;
        Ok(Self(name.into_owned().into_boxed_str()))
    }
}

fn literal(inner: &str) -> Option<IpAddr> {
    match inner.split_at_checked(5) {
        Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6:") => {
            address.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        }
        _ => inner.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

fn print(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_in_its_many_spellings() {
        for text in ["bücher.example", "BÜCHER.Example", "xn--bcher-kva.example"] {
            let domain: Domain = text.parse().unwrap();
            assert_eq!(domain.as_str(), "xn--bcher-kva.example");
            assert!(!domain.is_literal());
        }
        assert!("[192.0.2.1]".parse::<Domain>().unwrap().is_literal());
    }

    #[test]
    fn lengths() {
        let label = "a".repeat(63);
        let name = [&*label; 4].join(".");
        assert!(name[..253].parse::<Domain>().is_ok());
        assert!(name.parse::<Domain>().is_err());
        assert!(format!("{label}a").parse::<Domain>().is_err());
        assert!("r3---sn-4g5e.example".parse::<Domain>().is_ok());
    }
}
