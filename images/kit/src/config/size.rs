//! Sizes in bytes as people write them: "512", "64KiB", "50MiB", "100GiB".

use serde::{Deserialize, Deserializer, Serializer};

/// Text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a size: write bytes, or a number and KiB, MiB, GiB or TiB, for example 50MiB"
)]
pub struct BadSize(String);

/// The units, the largest first. Decimal ones are refused: who writes MB means either.
const UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("", 1),
];

/// Reads a whole number, and a unit unless it is bytes.
pub fn parse(text: &str) -> Result<u64, BadSize> {
    let bad = || BadSize(text.chars().take(40).collect());
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let (_, bytes) = UNITS
        .into_iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(bad)?;
    number.checked_mul(bytes).ok_or_else(bad)
}

/// Writes a size in the largest unit that takes it whole.
pub fn print(bytes: u64) -> String {
    let (unit, size) = UNITS
        .into_iter()
        .find(|(_, size)| bytes > 0 && bytes.is_multiple_of(*size))
        .unwrap_or(("", 1));
    format!("{}{unit}", bytes / size)
}

/// For `#[serde(with)]`.
pub fn serialize<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&print(*bytes))
}

/// For `#[serde(with)]`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = match super::leaves::Scalar::deserialize(deserializer)? {
        super::leaves::Scalar::Text(text) => text,
        super::leaves::Scalar::Number(number) => number.to_string(),
    };
    parse(&text).map_err(serde::de::Error::custom)
}

/// What is read prints to what reads the same.
pub fn fuzz(text: &str) {
    if let Ok(bytes) = parse(text) {
        assert_eq!(parse(&print(bytes)), Ok(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_each_unit() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("64KiB", 64 << 10),
            ("50MiB", 50 << 20),
            ("100GiB", 100 << 30),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
            assert_eq!(print(bytes), text);
        }
    }

    #[test]
    fn refuses_the_rest() {
        for bad in ["", "MiB", "-1", "1.5MiB", "50MB", "50 MiB", "99999999TiB"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
