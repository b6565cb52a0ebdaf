//! Durations as people write them: "250ms", "20s", "5m", "12h", "7d".

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

/// Text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration: write a number and ms, s, m, h or d, for example 20s")]
pub struct BadDuration(String);

/// The units, the largest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// Reads a whole number and a unit.
pub fn parse(text: &str) -> Result<Duration, BadDuration> {
    let bad = || BadDuration(text.chars().take(40).collect());
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let (_, milliseconds) = UNITS
        .into_iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(bad)?;
    let milliseconds = number.checked_mul(milliseconds).ok_or_else(bad)?;
    Ok(Duration::from_millis(milliseconds))
}

/// Writes a duration in the largest unit that takes it whole; finer than a millisecond is lost.
pub fn print(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let (unit, size) = UNITS
        .into_iter()
        .find(|(_, size)| milliseconds > 0 && milliseconds.is_multiple_of(u128::from(*size)))
        .unwrap_or(("s", 1000));
    format!("{}{unit}", milliseconds / u128::from(size))
}

/// For `#[serde(with)]`.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&print(*duration))
}

/// For `#[serde(with)]`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    // A bare number has no unit, and is shown as it was written.
    let text = match super::leaves::Scalar::deserialize(deserializer)? {
        super::leaves::Scalar::Text(text) => text,
        super::leaves::Scalar::Number(number) => number.to_string(),
    };
    parse(&text).map_err(serde::de::Error::custom)
}

/// What is read prints to what reads the same.
pub fn fuzz(text: &str) {
    if let Ok(duration) = parse(text) {
        assert_eq!(parse(&print(duration)), Ok(duration));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_each_unit() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("250ms", 250),
            ("20s", 20_000),
            ("5m", 300_000),
            ("12h", 43_200_000),
            ("7d", 604_800_000),
        ] {
            let duration = Duration::from_millis(milliseconds);
            assert_eq!(parse(text), Ok(duration), "{text}");
            assert_eq!(print(duration), text);
        }
        assert_eq!(parse("120s").map(print), Ok("2m".to_owned()));
    }

    #[test]
    fn refuses_the_rest() {
        for bad in [
            "",
            "20",
            "s",
            "-1s",
            "1.5s",
            "20 s",
            "20S",
            "99999999999999999999s",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
