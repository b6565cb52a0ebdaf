//! The form of an address that two spellings of it share.

use std::fmt;
use std::str::FromStr;

use unicode_normalization::UnicodeNormalization as _;

use super::{Address, AddressError, Domain, LocalPart};

/// The key of an address: local part in NFC and lower case, quoted only where needed, `@`, A-labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Canonical {
    text: Box<str>,
    /// Where the `@` between local part and domain is.
    at: u16,
}

impl Canonical {
    /// The longest local part that an address of ours has (RFC 5321 section 4.5.3.1.1).
    pub const MAX_LOCAL_OCTETS: usize = 64;

    /// The key of `address`; an error when its local part has more than 64 octets, so that it
    /// cannot be one of ours.
    pub fn new(address: &Address) -> Result<Self, AddressError> {
        let folded = fold(address.local_part().as_value());
        if folded.len() > Self::MAX_LOCAL_OCTETS {
            let rule = "it has more than 64 octets";
            return Err(AddressError::new("a local part of ours", &folded, rule));
        }
        Ok(Self::compose(
            &LocalPart::from_value(&folded)?,
            address.domain(),
        ))
    }

    fn compose(local_part: &LocalPart, domain: &Domain) -> Self {
        let local_part = local_part.to_string();
        Self {
            text: format!("{local_part}@{domain}").into_boxed_str(),
            at: u16::try_from(local_part.len()).expect("64 octets quoted are at most 130"),
        }
    }

    /// The key as text: `local@domain`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The local part as in the key, with quotes where it needs them.
    pub fn local_part(&self) -> &str {
        &self.text[..usize::from(self.at)]
    }

    /// The domain as in the key: [`Domain::as_str`].
    pub fn domain(&self) -> &str {
        &self.text[usize::from(self.at) + 1..]
    }

    /// `user+detail@domain` without `+detail` (RFC 5233): what is before the first separator.
    /// None when there is no separator, or nothing before it.
    pub fn without_sub_address(&self, separator: char) -> Option<Self> {
        let local_part: LocalPart = self.local_part().parse().ok()?;
        let (user, _) = local_part.as_value().split_once(separator)?;
        let user = LocalPart::from_value(user).ok()?;
        Some(Self::compose(&user, &Domain::from_str(self.domain()).ok()?))
    }
}

impl fmt::Display for Canonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Canonical {
    type Err = AddressError;

    /// Reads an address in any spelling.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::new(&text.parse()?)
    }
}

/// Lower case by single characters, so that it does not depend on the neighbours; both small
/// sigmas are one. NFC before and after, since folding may leave a sequence that composes.
fn fold(value: &str) -> String {
    if value.is_ascii() {
        return value.to_ascii_lowercase();
    }
    let lower = |c: char| c.to_lowercase().map(|c| if c == 'ς' { 'σ' } else { c });
    value.nfc().flat_map(lower).nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        text.parse::<Canonical>().unwrap().to_string()
    }

    #[test]
    fn spellings_of_one_address() {
        assert_eq!(canonical("User@Example.ORG"), "user@example.org");
        assert_eq!(canonical("\"User\"@example.org"), "user@example.org");
        assert_eq!(canonical("\"a B\"@example.org"), "\"a b\"@example.org");
        assert_eq!(
            canonical("JO\u{308}RG@bücher.example"),
            canonical("jörg@xn--bcher-kva.example")
        );
        assert_eq!(canonical("ΑΣ@example.org"), canonical("ας@example.org"));
        assert_eq!(canonical("\"a@b\"@example.org"), "\"a@b\"@example.org");
    }

    #[test]
    fn parts() {
        let key: Canonical = "\"a@b\"@example.org".parse().unwrap();
        assert_eq!((key.local_part(), key.domain()), ("\"a@b\"", "example.org"));
        let long = format!("{}@example.org", "a".repeat(65));
        assert!(long.parse::<Canonical>().is_err());
        assert!(long[1..].parse::<Canonical>().is_ok());
    }

    #[test]
    fn sub_addresses() {
        let base = |text: &str| {
            let key: Canonical = text.parse().unwrap();
            key.without_sub_address('+').map(|base| base.to_string())
        };
        assert_eq!(
            base("user+a+b@example.org").as_deref(),
            Some("user@example.org")
        );
        assert_eq!(
            base("\"user+a b\"@example.org").as_deref(),
            Some("user@example.org")
        );
        assert_eq!(base("user@example.org"), None);
        assert_eq!(base("+a@example.org"), None);
    }
}
