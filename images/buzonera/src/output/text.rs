//! Times and quantities as text.

use jiff::Timestamp;

/// Milliseconds since 1970 as RFC 3339 in UTC; nothing for 0, which means never.
pub fn rfc3339(unix_ms: i64) -> Option<String> {
    if unix_ms == 0 {
        return None;
    }
    let time = Timestamp::from_millisecond(unix_ms).ok()?;
    Some(time.to_string())
}

/// The same for tables: to the second, empty for never.
pub fn moment(unix_ms: i64) -> String {
    rfc3339(unix_ms - unix_ms % 1000).unwrap_or_default()
}

/// Bytes for people: three digits and a binary unit.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if value < 9.995 { 1 } else { 0 };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// "1 account", "2 accounts".
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(rfc3339(0), None);
        assert_eq!(rfc3339(1_500).as_deref(), Some("1970-01-01T00:00:01.5Z"));
        assert_eq!(moment(1_500), "1970-01-01T00:00:01Z");
        assert_eq!(rfc3339(i64::MAX), None);
    }

    #[test]
    fn bytes_keep_three_digits() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(10 << 20), "10 MiB");
        assert_eq!(bytes(1023 << 20), "1.0 GiB");
        assert_eq!(bytes(u64::MAX), "16 EiB");
    }
}
