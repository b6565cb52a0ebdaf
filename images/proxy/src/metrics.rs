//! What a proxy counts. The doc comment is the metric's help text.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::pump::Traffic;

kit::metrics! {
    /// Counters of a proxy; cheap to clone.
    pub(crate) struct Metrics {
        /// Clients with their shard now.
        pub(crate) sessions: Gauge,
        /// Logins by result.
        logins: Family<Login, Counter>,
        /// From PASS or AUTH to its answer, waits included.
        pub(crate) login_seconds: Histogram = Histogram::new(LOGIN_BUCKETS),
        /// Octets pumped after login, seen from outside.
        octets: Family<Pumped, Counter>,
    }
}

/// From an empty pool's 30 ms to the longest wait and the directory's 5 s.
const LOGIN_BUCKETS: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pumped {
    /// `in` from clients, `out` to them.
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Login {
    /// See [`super::login::Failure::label`]; `granted` otherwise.
    result: &'static str,
}

impl Metrics {
    /// Counts a login.
    pub(crate) fn login(&self, result: &'static str) {
        self.logins.get_or_create(&Login { result }).inc();
    }

    /// Counts what was pumped for one client.
    pub(crate) fn pumped(&self, traffic: &Traffic) {
        for (direction, octets) in [("in", traffic.from_client), ("out", traffic.to_client)] {
            self.octets
                .get_or_create(&Pumped { direction })
                .inc_by(octets);
        }
    }
}
