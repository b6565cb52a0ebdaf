//! What a listener counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::admission::Doors;
use super::proxied::Refused;

/// Counters of one listener.
#[derive(Debug, Clone)]
pub struct ListenerMetrics {
    name: &'static str,
    open: Gauge,
    accepted: Counter,
    full: Counter,
    address_full: Counter,
    no_descriptors: Counter,
    dropped: Counter,
    proxied: Refused,
}

impl Doors {
    pub(super) fn metrics(&self, name: &'static str, proxied: Refused) -> ListenerMetrics {
        ListenerMetrics {
            name,
            open: self.open.clone(),
            accepted: self.accepted.clone(),
            full: self.full.clone(),
            address_full: self.address_full.clone(),
            no_descriptors: self.no_descriptors.clone(),
            dropped: self.dropped.clone(),
            proxied,
        }
    }
}

impl ListenerMetrics {
    /// Adds the counters to a registry, each labelled `listener="NAME"`; refusals also by `reason`:
    /// `full`, `address`, `descriptors`; those that were dropped without a word as `flood`, `untrusted`
    /// (not from a balancer of ours) or `header` (a balancer did not say whose it is).
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_label(("listener".into(), self.name.into()));
        registry.register("connections", "Connections open now", self.open.clone());
        registry.register(
            "connections_accepted",
            "Connections admitted since the start",
            self.accepted.clone(),
        );
        for (reason, counter) in [
            ("full", &self.full),
            ("address", &self.address_full),
            ("descriptors", &self.no_descriptors),
            ("flood", &self.dropped),
            ("untrusted", &self.proxied.untrusted),
            ("header", &self.proxied.no_header),
        ] {
            let labelled = registry.sub_registry_with_label(("reason".into(), reason.into()));
            labelled.register(
                "connections_refused",
                "Connections refused since the start",
                counter.clone(),
            );
        }
    }

    /// Connections open now.
    pub fn open(&self) -> i64 {
        self.open.get()
    }

    /// Connections refused since the start, for whatever reason.
    pub fn refused(&self) -> u64 {
        self.full.get() + self.address_full.get() + self.no_descriptors.get()
    }
}
