//! Local parts: dot-strings and quoted strings.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use super::AddressError;

/// The part of an address before the `@`, by meaning: `"a"` and `a` are equal, quotes are printed
/// only where they are needed.
///
/// `Local-part = Dot-string / Quoted-string`; never empty, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LocalPart(Box<str>);

impl LocalPart {
    /// The longest local part, in octets of its meaning. RFC 5321 section 4.5.3.1.1 asks for 64 and
    /// for no limit where that is possible; the reverse paths of list managers are longer in fact.
    pub const MAX_OCTETS: usize = 255;

    /// From its meaning, without quotes.
    pub fn from_value(value: &str) -> Result<Self, AddressError> {
        let wrong = |rule| AddressError::new("a local part", value, rule);
        if value.is_empty() {
            return Err(wrong("it is empty"));
        }
        if value.len() > Self::MAX_OCTETS {
            return Err(wrong("it has more than 255 octets"));
        }
        if value.contains(char::is_control) {
            return Err(wrong("it has control characters"));
        }
        Ok(Self(value.into()))
    }

    /// Its meaning, without quotes.
    pub fn as_value(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LocalPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.0) {
            return f.write_str(&self.0);
        }
        f.write_char('"')?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
        f.write_char('"')
    }
}

impl FromStr for LocalPart {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if is_dot_string(text) {
            return Self::from_value(text);
        }
        let rule = "write letters, digits, dots or a \"quoted string\"";
        let value = unquote(text).ok_or_else(|| AddressError::new("a local part", text, rule))?;
        Self::from_value(&value)
    }
}

/// Where the local part that `text` starts with ends: at the first `@` outside quotes.
pub(super) fn end(text: &str) -> usize {
    let (mut quoted, mut escaped) = (text.starts_with('"'), true);
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if quoted => quoted = false,
            b'@' if !quoted => return at,
            _ => {}
        }
    }
    if text.starts_with('@') { 0 } else { text.len() }
}

/// Dot-string = Atom *("." Atom)
fn is_dot_string(text: &str) -> bool {
    text.split('.')
        .all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// atext of RFC 5321, and UTF8-non-ascii of RFC 6531.
fn is_atext(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)
    } else {
        !c.is_control()
    }
}

/// Quoted-string = DQUOTE *( qtextSMTP / quoted-pairSMTP ) DQUOTE
fn unquote(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut value = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => value.push(chars.next().filter(char::is_ascii)?),
            '"' => return None,
            _ => value.push(c),
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_outside_quotes() {
        for (text, at) in [
            ("a@b", 1),
            ("\"a@b\"@c", 5),
            ("\"a\\\"@b\"@c", 7),
            ("\"a", 2),
            ("@b", 0),
            ("a", 1),
        ] {
            assert_eq!(end(text), at, "{text}");
        }
    }

    #[test]
    fn a_closing_quote_must_be_its_own() {
        assert_eq!(unquote("\"a\\\""), None);
        assert_eq!(unquote("\""), None);
        assert_eq!(unquote("\"a\\\\\"").as_deref(), Some("a\\"));
    }
}
