//! The `grpc-timeout` header: how long the caller waits.

use std::time::Duration;

use tonic::codegen::http::{HeaderMap, HeaderValue};

const HEADER: &str = "grpc-timeout";

/// The caller's deadline in a request, if it has one that can be read.
pub fn of(headers: &HeaderMap) -> Option<Duration> {
    parse(headers.get(HEADER)?.to_str().ok()?)
}

/// Tells the other side how long this call is waited for, so that it does not work on in vain.
pub fn tell(headers: &mut HeaderMap, deadline: Duration) {
    let milliseconds = deadline.as_millis().clamp(1, MAX_VALUE.into());
    if let Ok(value) = HeaderValue::try_from(format!("{milliseconds}m")) {
        headers.insert(HEADER, value);
    }
}

/// Eight digits, the most that the protocol allows: 27 hours in milliseconds.
const MAX_VALUE: u64 = 99_999_999;

/// At most eight digits and a unit (gRPC over HTTP/2, "Timeout").
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|octet| octet.is_ascii_digit())
    {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

/// Feeds any octets as a header value; what is read is within the protocol's bounds.
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some(deadline) = parse(text) {
        assert!(deadline <= Duration::from_secs(MAX_VALUE * 3600));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_every_unit_and_nothing_else() {
        assert_eq!(parse("1H"), Some(Duration::from_secs(3600)));
        assert_eq!(parse("2M"), Some(Duration::from_secs(120)));
        assert_eq!(parse("3S"), Some(Duration::from_secs(3)));
        assert_eq!(parse("4m"), Some(Duration::from_millis(4)));
        assert_eq!(parse("5u"), Some(Duration::from_micros(5)));
        assert_eq!(parse("6n"), Some(Duration::from_nanos(6)));
        for bad in ["", "S", "1", "-1S", "+1S", "123456789S", "1s", "1é"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_told_is_read() {
        for deadline in [Duration::from_millis(250), Duration::from_secs(60)] {
            let mut headers = HeaderMap::new();
            tell(&mut headers, deadline);
            assert_eq!(of(&headers), Some(deadline));
        }
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_timeouts(text in "[0-9]{0,9}[HMSmunx]?") {
            fuzz(text.as_bytes());
        }
    }
}
