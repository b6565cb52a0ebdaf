//! A password on its way.

use std::fmt;

/// The longest password, in octets; longer ones are refused when set and wrong at login.
const MAX_OCTETS: usize = 1024;

/// A password: it does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// From the octets of a message field.
    pub fn new(octets: &[u8]) -> Self {
        Self(octets.into())
    }

    /// The octets themselves, for hashing alone.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is longer than any that is set.
    pub fn is_too_long(&self) -> bool {
        self.0.len() > MAX_OCTETS
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_not_print() {
        assert_eq!(format!("{:?}", Secret::from("hunter2")), "Secret(…)");
    }
}
