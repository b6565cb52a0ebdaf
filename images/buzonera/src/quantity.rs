//! Sizes as people write them: `500M`, `1Gi`, `none`.

use std::str::FromStr;

/// Longest text that is read.
const MAX_LENGTH: usize = 32;

/// Units after Kubernetes: `k M G T` are powers of 1000, `Ki Mi Gi Ti` of 1024. A final `B` is
/// allowed.
const UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("k", 1000),
    ("K", 1000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
];

/// A limit in bytes; `none` is 0, which means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size(pub u64);

/// Text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size: write bytes, or 500M, 1Gi, none")]
pub struct SizeError(String);

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let wrong = || SizeError(text.chars().take(MAX_LENGTH).collect());
        if text == "none" {
            return Ok(Self(0));
        }
        if text.len() > MAX_LENGTH {
            return Err(wrong());
        }
        let end = text.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, unit) = text.split_at(end);
        let unit = unit.strip_suffix('B').unwrap_or(unit);
        let (_, factor) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(wrong)?;
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        if number == 0 {
            return Err(wrong());
        }
        number.checked_mul(*factor).map(Self).ok_or_else(wrong)
    }
}

/// Feeds any octets to the parser; what it accepts must be the bytes it prints.
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(Size(bytes)) = text.parse::<Size>()
        && bytes > 0
    {
        assert_eq!(bytes.to_string().parse(), Ok(Size(bytes)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, bytes) in [
            ("none", 0),
            ("1", 1),
            ("500M", 500_000_000),
            ("500MB", 500_000_000),
            ("1Gi", 1 << 30),
            ("2GiB", 2 << 30),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "0",
            "-1",
            "1 G",
            "1.5G",
            "G",
            "1X",
            "99999999999999999999",
            "9999999999Ti",
        ] {
            assert!(text.parse::<Size>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_sizes(text in "[0-9]{1,20}[kMGTi]{0,2}B?") {
            fuzz(text.as_bytes());
        }
    }
}
