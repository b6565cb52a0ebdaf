//! What clients call themselves.

use std::fmt;

use super::{CommandError, Verb};

/// What a client calls itself, made harmless: only letters, digits and `-._:[]`, others as `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeloName(String);

impl HeloName {
    /// The longest name that is kept, in octets.
    pub const MAX_OCTETS: usize = 255;

    pub(super) fn parse(verb: Verb, text: &str) -> Result<Self, CommandError> {
        if text.is_empty() {
            return Err(CommandError::Syntax {
                verb,
                usage: "the client's name",
            });
        }
        Ok(Self(
            text.chars().take(Self::MAX_OCTETS).map(harmless).collect(),
        ))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HeloName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn harmless(c: char) -> char {
    if c.is_ascii_alphanumeric() || "-._:[]".contains(c) {
        c
    } else {
        '?'
    }
}
