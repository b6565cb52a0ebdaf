//! Quantities of Kubernetes by what they are worth: 500m is 0.5, 1024Mi is 1Gi.
//!
//! The grammar is that of `k8s.io/apimachinery/pkg/api/resource`: a decimal number, then nothing, a
//! decimal suffix (m, k, M, …), a binary one (Ki, Mi, …), or a decimal exponent.

/// The longest that is read; no quantity that means something is longer.
const MAX_LEN: usize = 64;

/// Whether two texts are quantities of the same worth.
pub(super) fn same(one: &str, other: &str) -> bool {
    match (nanos(one), nanos(other)) {
        (Some(one), Some(other)) => one == other,
        (None, _) | (_, None) => false,
    }
}

/// In billionths, which is as fine as Kubernetes counts; none: not a quantity, or beyond all bounds.
fn nanos(text: &str) -> Option<i128> {
    if text.len() > MAX_LEN {
        return None;
    }
    let end = text
        .find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-'))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let Scale { times, tens } = scale(suffix)?;
    decimal(number, tens.checked_add(9)?)?.checked_mul(times)
}

/// What a suffix multiplies by: a power of two, or a power of ten.
struct Scale {
    times: i128,
    tens: i32,
}

fn scale(suffix: &str) -> Option<Scale> {
    const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(place) = BINARY.iter().position(|binary| *binary == suffix) {
        let times = 1024_i128.pow(u32::try_from(place).ok()? + 1);
        return Some(Scale { times, tens: 0 });
    }
    let tens = match suffix {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "" => 0,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        _ => suffix.strip_prefix(['e', 'E'])?.parse().ok()?,
    };
    Some(Scale { times: 1, tens })
}

/// A decimal number times ten to the power of `tens`; what is finer than one is cut off.
fn decimal(number: &str, tens: i32) -> Option<i128> {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let digits = format!("{whole}{part}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: i128 = digits.parse().ok()?;
    let tens = tens.checked_sub(i32::try_from(part.len()).ok()?)?;
    let power = 10_i128.checked_pow(tens.unsigned_abs());
    let value = match tens >= 0 {
        true => value.checked_mul(power?)?,
        // Ten to a power beyond all bounds leaves nothing.
        false => power.map_or(0, |power| value / power),
    };
    Some(sign * value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_worth_the_same_is_the_same() {
        for (one, other) in [
            ("0.5", "500m"),
            ("1024Mi", "1Gi"),
            ("1Ki", "1024"),
            ("1e3", "1k"),
            ("1E", "1000P"),
            ("+2", "2.0"),
            ("100m", "0.1"),
            ("1.5Gi", "1536Mi"),
            ("0", "0Ki"),
        ] {
            assert!(same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn what_is_not_is_not() {
        for (one, other) in [("1G", "1Gi"), ("1", "1m"), ("-1", "1"), ("1k", "1024")] {
            assert!(!same(one, other), "{one} {other}");
        }
        let long = "1".repeat(MAX_LEN + 1);
        for odd in [
            "",
            "Gi",
            "1 Gi",
            "1Zi",
            "1.2.3",
            "ee",
            "--1",
            "1e",
            "9999999999999999999999999999999E",
            &long,
        ] {
            assert!(!same(odd, odd), "{odd}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in ".{0,70}") {
            let _ = same(&text, "1");
        }
    }
}
