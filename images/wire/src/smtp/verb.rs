//! The commands' names.

use strum::{EnumString, IntoStaticStr, VariantArray};

/// The commands' names, for tables, replies and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "UPPERCASE", ascii_case_insensitive)]
#[expect(
    missing_docs,
    reason = "each is the verb of the RFC that it is named after"
)]
pub enum Verb {
    Helo,
    Ehlo,
    Lhlo,
    Mail,
    Rcpt,
    Data,
    Bdat,
    Rset,
    Noop,
    Quit,
    Vrfy,
    Expn,
    Help,
    StartTls,
}

impl Verb {
    /// Every verb.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// As it is written on the wire.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_is_read_in_any_case() {
        for verb in Verb::ALL {
            let small = verb.as_str().to_ascii_lowercase();
            assert_eq!(small.parse(), Ok(*verb));
            assert_eq!(verb.as_str().parse(), Ok(*verb));
        }
        assert_eq!(Verb::StartTls.as_str(), "STARTTLS");
    }
}
