//! Quantities of octets, as Kubernetes writes them, that can be reckoned with.

use std::fmt;
use std::str::FromStr;

/// A whole number of octets, and how somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    octets: u64,
    written: String,
}

/// Text that is no whole number of octets, or one that cannot be compared with others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no whole number of octets that can be compared: write for example 100Gi or 50Mi")]
pub struct BadSize(String);

/// The units of Kubernetes that are no fractions. Exponents (`1e9`) are another way to write the
/// same, and are refused.
const UNITS: [(&str, u64); 13] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
    ("", 1),
];

/// The first of them are powers of 2.
const BINARY: usize = 6;

/// The longest that is read.
const MAX_TEXT: usize = 24;

/// Kubernetes keeps quantities in 63 bits.
const MAX_OCTETS: u128 = i64::MAX as u128;

impl Size {
    /// How many octets.
    pub fn octets(&self) -> u64 {
        self.octets
    }
}

impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let wrong = || BadSize(text.chars().take(MAX_TEXT * 2).collect());
        if text.len() > MAX_TEXT {
            return Err(wrong());
        }
        let octets = octets(text).ok_or_else(wrong)?;
        Ok(Self {
            octets,
            written: text.to_owned(),
        })
    }
}

fn octets(text: &str) -> Option<u64> {
    let (unit, factor) = UNITS.into_iter().find(|(unit, _)| text.ends_with(unit))?;
    let number = text.strip_suffix(unit)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |digits: &str| digits.bytes().all(|octet| octet.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(part) || number.ends_with('.') {
        return None;
    }
    let digits: u128 = format!("{whole}{part}").parse().ok()?;
    let below = 10_u128.checked_pow(u32::try_from(part.len()).ok()?)?;
    let octets = digits.checked_mul(u128::from(factor))?;
    let is_whole = octets.is_multiple_of(below) && octets / below <= MAX_OCTETS;
    is_whole.then(|| u64::try_from(octets / below).ok())?
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// About so many octets, for people: two digits and a unit.
pub(crate) fn about(octets: u64) -> String {
    let units = UNITS.iter().take(BINARY).rev();
    let unit = units.into_iter().find(|(_, size)| octets >= *size);
    let Some((unit, size)) = unit else {
        return octets.to_string();
    };
    let tenths = u128::from(octets) * 10 / u128::from(*size);
    match tenths {
        ..100 => format!("{}.{}{unit}", tenths / 10, tenths % 10),
        100..1000 => format!("{}{unit}", tenths / 10),
        _ => format!("{}{unit}", tenths / 100 * 10),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn people_are_told_about_how_much() {
        for (octets, expected) in [
            (0, "0"),
            (1023, "1023"),
            (1536, "1.5Ki"),
            ((10 << 20) - 1, "9.9Mi"),
            (42 << 30, "42Gi"),
            (1019 << 30, "1010Gi"),
            (u64::MAX, "15Ei"),
        ] {
            assert_eq!(about(octets), expected);
        }
    }

    #[test]
    fn sizes_are_whole_octets() {
        for (text, octets) in [
            ("0", 0),
            ("1024", 1024),
            ("1Ki", 1024),
            ("100Gi", 100 << 30),
            ("1.5Gi", 3 << 29),
            ("0.5Ki", 512),
            ("100G", 100_000_000_000),
            ("7Ei", 7 << 60),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.octets(), size.to_string()), (octets, text.to_owned()));
        }
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        for bad in [
            "",
            "Gi",
            "-1Gi",
            "+1Gi",
            "1e9",
            "1E9",
            "500m",
            "0.3",
            "1.Gi",
            ".5Gi",
            "1 Gi",
            "1GB",
            "1gi",
            "8Ei",
            "9999999999999999999999",
            "0.00000000000000000001Gi",
            "١Gi",
        ] {
            assert!(bad.parse::<Size>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text(text in "[0-9.eE+-]{0,26}[kKMGTPEim]{0,2}") {
            if let Ok(size) = text.parse::<Size>() {
                prop_assert_eq!(size.to_string(), text);
            }
        }
    }
}
