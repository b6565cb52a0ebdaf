//! What a proxy counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Counters of a proxy; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// Clients that are with their shard now.
    pub(crate) sessions: Gauge,
    logins: Family<Login, Counter>,
    /// From PASS or AUTH to its answer, waits included.
    pub(crate) login_seconds: Histogram,
    pub(crate) from_clients: Counter,
    pub(crate) to_clients: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Login {
    /// See [`super::login::Failure::label`]; `granted` otherwise.
    result: &'static str,
}

impl Metrics {
    /// Counters at zero.
    pub(crate) fn new() -> Self {
        // From an empty pool's 30 ms to the longest wait and the directory's 5 s.
        let buckets = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0];
        Self {
            sessions: Gauge::default(),
            logins: Family::default(),
            login_seconds: Histogram::new(buckets),
            from_clients: Counter::default(),
            to_clients: Counter::default(),
        }
    }

    /// Counts a login.
    pub(crate) fn login(&self, result: &'static str) {
        self.logins.get_or_create(&Login { result }).inc();
    }

    /// Adds the counters to the proxy's registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "sessions",
            "Clients with their shard now",
            self.sessions.clone(),
        );
        registry.register("logins", "Logins by result", self.logins.clone());
        registry.register(
            "login_seconds",
            "From PASS or AUTH to its answer",
            self.login_seconds.clone(),
        );
        for (direction, counter) in [("in", &self.from_clients), ("out", &self.to_clients)] {
            let label = ("direction".into(), direction.into());
            registry.sub_registry_with_label(label).register(
                "octets",
                "Octets pumped after login, seen from outside",
                counter.clone(),
            );
        }
    }
}
