//! Octets that must not be printed: passwords.

use std::fmt;

use zeroize::Zeroizing;

/// The longest password, in octets; longer ones are refused when set and wrong at login.
pub const MAX_PASSWORD: usize = 1024;

/// A password as its user sent it. It prints as dots and is overwritten when dropped; there is no
/// promise about copies that others made before.
///
/// Comparing two is not constant in time; a password is checked by the directory only.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the octets; the caller's other copies are its own affair.
    pub fn new(octets: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(octets.into()))
    }

    /// The octets, for the one call that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is longer than any that is set.
    pub fn is_too_long(&self) -> bool {
        self.0.len() > MAX_PASSWORD
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
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_eq!(secret.expose(), b"hunter2");
    }
}
