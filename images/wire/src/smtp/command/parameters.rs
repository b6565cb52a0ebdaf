//! What MAIL, RCPT and BDAT have in common.

use super::{CommandError, Verb};

/// What follows a keyword in any case. The space that some clients put behind it is forgiven.
pub(super) fn after<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword)
        .then(|| rest.trim_start_matches(' '))
}

/// What follows a path: nothing, or parameters after a space.
pub(super) fn parameters(
    verb: Verb,
    rest: &str,
) -> Result<impl Iterator<Item = &str>, CommandError> {
    if !rest.is_empty() && !rest.starts_with(' ') {
        return Err(CommandError::Syntax {
            verb,
            usage: "a space before its parameters",
        });
    }
    Ok(rest.split(' ').filter(|parameter| !parameter.is_empty()))
}

/// size-value = 1*20DIGIT (RFC 1870 section 3); saturates.
pub(super) fn size(digits: &str) -> Option<u64> {
    let fits = (1..=20).contains(&digits.len());
    if !fits || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}
