//! How often certificates were reloaded, and until when those in use are valid.

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

/// How often certificates were reloaded, how often what lay there was no good, and until when those
/// in use are valid.
#[derive(Debug, Clone, Default)]
pub struct Reloads {
    pub(super) counts: Counts,
    expires: Gauge,
    /// With the name of whose each is.
    validities: Arc<Mutex<Vec<(String, Validity)>>>,
}

impl Reloads {
    /// Adds the counters to a registry, under the given name, for example `tls`.
    pub fn register(&self, name: &str, registry: &mut Registry) {
        self.counts.register(name, WHAT, registry);
        registry.register(
            format!("{name}_expires_timestamp_seconds"),
            "When the first of the certificates in use expires, in Unix time",
            self.expires.clone(),
        );
    }

    /// When the first of the certificates in use expires, in seconds since 1970.
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

    /// Notes how long the certificates are valid that are in use from now on, each with the name of
    /// whose it is.
    pub(super) fn note_validity(&self, pairs: impl Iterator<Item = (String, Arc<CertifiedKey>)>) {
        let validity = |(name, pair): (String, Arc<CertifiedKey>)| {
            let leaf = pair.cert.first();
            let validity = leaf.map_or_else(Validity::default, |leaf| Validity::of(leaf));
            (name, validity)
        };
        let validities: Vec<_> = pairs.map(validity).collect();
        let first = validities.iter().map(|(_, validity)| validity.until).min();
        self.expires.set(first.unwrap_or_default());
        *self.validities.lock() = validities;
    }

    /// Says so if a certificate in use is about to expire.
    pub(super) fn report(&self) {
        for (of, validity) in self.validities.lock().iter() {
            validity.report(of, clock::unix_ms() / 1000);
        }
    }
}
