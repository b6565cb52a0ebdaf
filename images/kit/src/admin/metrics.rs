//! Metrics of all tiers of a process.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;
use wire::identity::{Identity, Tier};

use super::merge::merge;

/// Every component's metrics; cheap to clone.
#[derive(Clone, Default)]
pub struct Metrics {
    components: Arc<Mutex<Vec<Registry>>>,
}

impl Metrics {
    /// Lets a tier register its metrics: under the prefix `buzonera_TIER_`, with the label
    /// `instance`, so that several of one tier in one process stay apart. Metrics of one name must
    /// have the same help and type. Names follow Prometheus: base units, no `_total` for counters
    /// (it is added).
    pub fn register(&self, identity: &Identity, register: impl FnOnce(&mut Registry)) {
        self.register_as(identity.tier(), identity.instance(), register);
    }

    /// As [`Self::register`], for a component that has no identity of its own.
    pub fn register_as(&self, tier: Tier, instance: &str, register: impl FnOnce(&mut Registry)) {
        let label = ("instance".into(), instance.to_owned().into());
        let prefix = format!("buzonera_{tier}");
        let mut registry = Registry::with_prefix_and_labels(prefix, [label].into_iter());
        register(&mut registry);
        let mut components = self.components.lock();
        components.push(registry);
    }

    /// All metrics in OpenMetrics text.
    pub fn text(&self) -> String {
        let components = self.components.lock();
        let mut text = String::new();
        for registry in components.iter() {
            // Writing to a string fails only where a metric's own encoder does.
            if let Err(error) = encode_registry(&mut text, registry) {
                tracing::error!(%error, "metrics cannot be written");
            }
        }
        drop(components);
        let mut merged = merge(&text);
        // As above, and this encoder writes a constant.
        let _ = encode_eof(&mut merged);
        merged
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn two_instances_of_a_tier_share_one_family() {
        let metrics = Metrics::default();
        let counter = Counter::<u64>::default();
        counter.inc();
        for instance in ["shard-1", "shard-2"] {
            metrics.register_as(Tier::Storage, instance, |registry| {
                registry.register("syncs", "Syncs of the heap", counter.clone());
            });
        }
        assert_eq!(
            metrics.text(),
            "# HELP buzonera_storage_syncs Syncs of the heap.\n\
             # TYPE buzonera_storage_syncs counter\n\
             buzonera_storage_syncs_total{instance=\"shard-1\"} 1\n\
             buzonera_storage_syncs_total{instance=\"shard-2\"} 1\n\
             # EOF\n"
        );
    }
}
