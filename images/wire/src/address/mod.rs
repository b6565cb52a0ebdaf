//! Mail addresses (RFC 5321 section 4.1.2, with the UTF-8 of RFC 6531 section 3.3).
//!
//! [`Address`] is what was written, in a form that prints and parses alike; [`Canonical`] is the
//! key under which the directory keeps it.

mod canonical;
mod domain;
mod local_part;

use std::fmt;
use std::str::FromStr;

pub use canonical::Canonical;
pub use domain::Domain;
pub use local_part::LocalPart;

/// The longest address text that is read, in octets: a quoted local part of the greatest length,
/// `@` and a domain.
pub const MAX_TEXT: usize = 2 * LocalPart::MAX_OCTETS + 2 + 1 + Domain::MAX_OCTETS;

/// `local-part@domain`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    local_part: LocalPart,
    domain: Domain,
}

/// Text that is not an address: names the text and the rule that it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {kind}: {rule}")]
pub struct AddressError {
    kind: &'static str,
    text: String,
    rule: &'static str,
}

impl AddressError {
    /// Longer culprits are cut, so that an error is never large.
    const SHOWN_CHARS: usize = 80;

    fn new(kind: &'static str, text: &str, rule: &'static str) -> Self {
        let text = text.chars().take(Self::SHOWN_CHARS).collect();
        Self { kind, text, rule }
    }
}

impl Address {
    /// Composes an address from its parts.
    pub fn new(local_part: LocalPart, domain: Domain) -> Self {
        Self { local_part, domain }
    }

    /// The part before the `@`.
    pub fn local_part(&self) -> &LocalPart {
        &self.local_part
    }

    /// The part after the `@`.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local_part, self.domain)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Mailbox = Local-part "@" ( Domain / address-literal )
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = |rule| AddressError::new("an address", text, rule);
        if text.len() > MAX_TEXT {
            return Err(wrong("it is too long"));
        }
        let at = local_part::end(text);
        let domain = text[at..].strip_prefix('@');
        let domain = domain.ok_or_else(|| wrong("write local-part@domain"))?;
        Ok(Self::new(text[..at].parse()?, domain.parse()?))
    }
}

/// Feeds any octets to the parsers; what they accept must print as it was understood, and a
/// canonical form must be its own canonical form.
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(domain) = text.parse::<Domain>() {
        assert_eq!(domain.as_str().parse(), Ok(domain));
    }
    let Ok(address) = text.parse::<Address>() else {
        return;
    };
    let printed = address.to_string();
    assert!(!printed.contains(char::is_control), "{printed:?}");
    assert_eq!(printed.parse().as_ref(), Ok(&address));
    if let Ok(canonical) = Canonical::new(&address) {
        assert_eq!(canonical.as_str().parse(), Ok(canonical.clone()));
        if let Some(base) = canonical.without_sub_address('+') {
            assert_eq!(base.as_str().parse(), Ok(base.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prints_what_it_means() {
        for (text, printed) in [
            ("a@b.example", "a@b.example"),
            ("A.b@B.Example", "A.b@b.example"),
            ("\"a\"@b.example", "a@b.example"),
            ("\"a\\b\"@b.example", "ab@b.example"),
            ("\"a b\"@b.example", "\"a b\"@b.example"),
            ("\"a@b\"@c.example", "\"a@b\"@c.example"),
            ("\"a..b\"@c.example", "\"a..b\"@c.example"),
            ("\"\\\"\"@c.example", "\"\\\"\"@c.example"),
            ("a%b!c@d.example", "a%b!c@d.example"),
            ("a@bücher.example", "a@xn--bcher-kva.example"),
            ("a@[192.0.2.1]", "a@[192.0.2.1]"),
            ("a@[ipv6:2001:DB8::1]", "a@[IPv6:2001:db8::1]"),
            ("jörg@b.example", "jörg@b.example"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), printed, "{text}");
        }
    }

    #[test]
    fn refuses_other_forms() {
        let long = format!("{}@b.example", "a".repeat(LocalPart::MAX_OCTETS + 1));
        for bad in [
            "",
            "a",
            "@b.example",
            "a@",
            "a@b@c.example",
            "a b@c.example",
            ".a@b.example",
            "a.@b.example",
            "a..b@c.example",
            "\"\"@b.example",
            "\"a@b.example",
            "\"a\"b@c.example",
            "\"a\rb\"@c.example",
            "a\0@b.example",
            "a\u{85}@b.example",
            "<a@b.example>",
            "a@b..example",
            "a@.b.example",
            "a@b.example.",
            "a@-b.example",
            "a@b_c.example",
            "a@b c.example",
            "a@[192.0.2]",
            "a@[192.0.2.1",
            "a@[x:y]",
            &long,
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad:?}");
        }
        let error = "a b@c".parse::<Address>().unwrap_err().to_string();
        assert!(
            error.starts_with("\"a b\" is not a local part: "),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn any_text(text: String) {
            fuzz(text.as_bytes());
            fuzz(format!("{text}@b.example").as_bytes());
            fuzz(format!("a@{text}").as_bytes());
        }

        #[test]
        fn near_addresses(text in r#"["\\a-cA-C.+@ éßΣİ]{1,12}@[a-cA-Z.éßΣ\[\]:0-9-]{1,12}"#) {
            fuzz(text.as_bytes());
        }
    }
}
