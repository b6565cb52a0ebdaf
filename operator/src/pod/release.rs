//! Releases, and which of them this operator knows.

use std::fmt;
use std::str::FromStr;

/// A release, `0.1.0` or `0.1.0-rc.1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Release {
    major: u32,
    minor: u32,
    written: String,
}

/// Text that names no release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no release: write MAJOR.MINOR.PATCH, for example 0.1.0")]
pub struct BadRelease(String);

/// The longest that is read; it is an image's tag and an annotation.
const MAX_TEXT: usize = 32;

impl Release {
    /// Its minor version, `0.1`: what releases have in common that know the same flags.
    pub fn line(&self) -> String {
        format!("{}.{}", self.major, self.minor)
    }

    /// Whether an operator of release `operator` makes the objects of this one: its own minor
    /// version, and the one before.
    pub fn is_known_to(&self, operator: &Self) -> bool {
        let near = [Some(operator.minor), operator.minor.checked_sub(1)];
        self.major == operator.major && near.contains(&Some(self.minor))
    }

    /// The minor versions that an operator of this release makes, for people.
    pub fn known(&self) -> String {
        match self.minor.checked_sub(1) {
            Some(before) => format!("{}.{before} and {}", self.major, self.line()),
            None => self.line(),
        }
    }
}

impl FromStr for Release {
    type Err = BadRelease;

    fn from_str(text: &str) -> Result<Self, BadRelease> {
        let wrong = || BadRelease(text.chars().take(MAX_TEXT * 2).collect());
        let (numbers, rest) = match text.split_once('-') {
            Some((numbers, rest)) => (numbers, Some(rest)),
            None => (text, None),
        };
        let mut parts = numbers.split('.').map(number);
        let (Some(Some(major)), Some(Some(minor)), Some(Some(_)), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        if text.len() > MAX_TEXT || rest.is_some_and(|rest| !is_suffix(rest)) {
            return Err(wrong());
        }
        Ok(Self {
            major,
            minor,
            written: text.to_owned(),
        })
    }
}

/// One way to write each number, so that one release has one name.
fn number(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn is_suffix(text: &str) -> bool {
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'.' || octet == b'-';
    !text.is_empty() && text.bytes().all(allowed)
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> Release {
        text.parse().unwrap()
    }

    #[test]
    fn releases_are_three_numbers() {
        for good in ["0.1.0", "10.20.30", "0.1.0-rc.1"] {
            assert_eq!(release(good).to_string(), good);
        }
        let long = format!("0.1.0-{}", "a".repeat(32));
        for bad in [
            "",
            "0.1",
            "0.1.0.0",
            "0.01.0",
            "v0.1.0",
            "0.1.+0",
            "0.1.0-",
            "0.1.0-a b",
            &long,
        ] {
            assert!(bad.parse::<Release>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_operator_knows_its_minor_version_and_the_one_before() {
        let operator = release("0.3.1");
        for (text, known) in [
            ("0.3.9", true),
            ("0.3.0-rc.1", true),
            ("0.2.0", true),
            ("0.1.0", false),
            ("0.4.0", false),
            ("1.3.0", false),
        ] {
            assert_eq!(release(text).is_known_to(&operator), known, "{text}");
        }
        assert_eq!(operator.known(), "0.2 and 0.3");
        assert_eq!(release("0.0.1").known(), "0.0");
        assert!(!release("0.1.0").is_known_to(&release("0.0.1")));
    }
}
