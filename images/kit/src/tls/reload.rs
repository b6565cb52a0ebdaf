//! How often certificates were reloaded, and until when the one in use is valid.

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rustls::sign::CertifiedKey;

use super::expiry::Validity;
use crate::clock;
use crate::reload::Counts;

/// What is reloaded, in logs and help texts.
pub(super) const WHAT: &str = "certificates";

/// How often certificates were reloaded, how often what lay there was no good, and until when the
/// one in use is valid.
#[derive(Debug, Clone, Default)]
pub struct Reloads {
    pub(super) counts: Counts,
    expires: Gauge,
    validity: Arc<Mutex<Validity>>,
}

impl Reloads {
    /// Adds the counters to a registry, under the given name, for example `tls`.
    pub fn register(&self, name: &str, registry: &mut Registry) {
        self.counts.register(name, WHAT, registry);
        registry.register(
            format!("{name}_expires_timestamp_seconds"),
            "When the certificate in use expires, in Unix time",
            self.expires.clone(),
        );
    }

    /// When the certificate in use expires, in seconds since 1970.
    pub fn expires(&self) -> i64 {
        self.expires.get()
    }

    /// Sets taken over since the start.
    pub fn done(&self) -> u64 {
        self.counts.done.get()
    }

    /// Changed sets that were refused since the start.
    pub fn failed(&self) -> u64 {
        self.counts.failed.get()
    }

    /// Notes how long the certificate is valid that is in use from now on.
    pub(super) fn note_validity(&self, pair: &CertifiedKey) {
        let leaf = pair.cert.first();
        let validity = leaf.map_or_else(Validity::default, |leaf| Validity::of(leaf));
        self.expires.set(validity.until);
        *self.validity.lock() = validity;
    }

    /// Says so if the certificate in use is about to expire; `of` names whose it is.
    pub(super) fn report(&self, of: &str) {
        let validity = *self.validity.lock();
        validity.report(of, clock::unix_ms() / 1000);
    }
}
