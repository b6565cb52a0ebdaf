//! When the certificate in use expires, and who has to be told before.

use rustls::pki_types::CertificateDer;
use tracing::Level;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;

/// What renews certificates of three months or a year does so earlier: it has failed more than once.
const SOON: i64 = 21 * DAY;

/// A person has a working week left.
const CLOSE: i64 = 7 * DAY;

/// From when until when a certificate is valid, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Validity {
    pub(super) from: i64,
    pub(super) until: i64,
}

impl Validity {
    /// As the certificate says; all 0 for one that cannot be read, which is refused elsewhere.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Self {
        let parsed = X509Certificate::from_der(certificate);
        parsed.map_or_else(
            |_| Self::default(),
            |(_, parsed)| Self {
                from: parsed.validity().not_before.timestamp(),
                until: parsed.validity().not_after.timestamp(),
            },
        )
    }

    /// Logs, if it is time to; `of` names whose certificate it is.
    pub(super) fn report(self, of: &str, now: i64) {
        let left = self.until - now;
        let days = left.div_euclid(DAY);
        match level(left, self.until - self.from) {
            Some(Level::ERROR) if left <= 0 => {
                tracing::error!(of, days, "the certificate in use has expired");
            }
            Some(Level::ERROR) => {
                tracing::error!(of, days, "the certificate in use is about to expire");
            }
            Some(_) => tracing::warn!(of, days, "the certificate in use expires soon: renew it"),
            None => {}
        }
    }
}

/// How loud to be about a certificate with so many seconds left of its `lifetime`. One that lives
/// for days only is renewed within days: its last quarter is soon, its last tenth is close.
fn level(left: i64, lifetime: i64) -> Option<Level> {
    if left <= 0 || left < CLOSE.min(lifetime / 10) {
        return Some(Level::ERROR);
    }
    (left < SOON.min(lifetime / 4)).then_some(Level::WARN)
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use std::io::Write;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_year_warns_for_three_weeks_and_cries_for_one() {
        let year = |days: i64| level(days * DAY, 365 * DAY);
        assert_eq!(year(365), None);
        assert_eq!(year(21), None);
        assert_eq!(year(20), Some(Level::WARN));
        assert_eq!(year(7), Some(Level::WARN));
        assert_eq!(year(6), Some(Level::ERROR));
        assert_eq!(year(0), Some(Level::ERROR));
        assert_eq!(year(-1), Some(Level::ERROR));
    }

    #[test]
    fn a_week_is_quiet_for_most_of_it() {
        let week = |hours: i64| level(hours * 60 * 60, 7 * DAY);
        assert_eq!(week(7 * 24), None);
        assert_eq!(week(42), None);
        assert_eq!(week(41), Some(Level::WARN));
        assert_eq!(week(17), Some(Level::WARN));
        assert_eq!(week(16), Some(Level::ERROR));
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
            self.0.lock().write(octets)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(left: i64) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let (from, until) = (0, 365 * DAY);
        tracing::subscriber::with_default(subscriber, || {
            Validity { from, until }.report("mx-0", until - left);
        });
        String::from_utf8(lines.0.lock().clone()).unwrap()
    }

    #[test]
    fn what_is_logged() {
        assert_eq!(logged(30 * DAY), "");
        let soon = logged(20 * DAY);
        assert!(soon.contains("WARN") && soon.contains("days=20"), "{soon}");
        let close = logged(3 * DAY);
        assert!(
            close.contains("ERROR") && close.contains("days=3"),
            "{close}"
        );
        let late = logged(-DAY);
        assert!(late.contains("ERROR") && late.contains("expired"), "{late}");
    }
}
