//! What a shard counts. The doc comment is the metric's help text.

use std::sync::{Arc, OnceLock};

use kit::admin::{LookedUp, Number, Value};
use kit::metrics::Registered;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use segments::Counters;

/// What became of one target of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    /// `stored`, `duplicate`, `moved` or `retry`.
    pub outcome: &'static str,
    /// Of a `retry`: see [`crate::shard::Why`].
    pub reason: &'static str,
}

kit::metrics! {
    /// The shard's counters and gauges. Cheap to clone.
    pub struct Metrics {
        /// Targets of deliveries, by what became of them.
        pub deliveries: Family<OutcomeLabel, Counter>,
        /// Octets of message bodies stored.
        pub body_octets: Counter,
        /// Messages expunged.
        pub expunged: Counter,
        /// Requests for an account that the directory assigns here and that is not here: a fault.
        pub missing_accounts: Counter,
        /// Orders of the directory that do not fit what the shard holds: faults.
        pub faults: Counter,
        /// Orders of the directory that failed and are tried again.
        pub orders_waiting: Gauge,
        /// Reports of load and quota states that the directory did not record.
        pub reports_failed: Counter,
        /// Messages that moves brought.
        pub imported: Counter,
        /// Accounts held.
        pub accounts: Gauge,
        /// Octets of live messages.
        pub octets: Gauge,
        /// Live messages.
        pub messages: Gauge,
        /// Octets free on the volume.
        pub volume_free_octets: Gauge,
        /// Live POP3 sessions.
        pub sessions: Gauge,
        /// 1 while the lease is held.
        pub lease_held: Gauge,
        /// 1 when nothing can be written: the shard only reads until it starts anew.
        pub read_only: Gauge,
        /// While the volume opens: how much of the heap that has to be read was, in hundredths; then
        /// 100.
        pub opening_percent: Gauge,
        /// What the heap counts, once it is open.
        pub heap: Heap,
    }
}

/// The heap's own counters, each a metric.
#[derive(Debug, Clone, Default)]
pub struct Heap(Arc<OnceLock<Arc<Counters>>>);

impl Heap {
    /// The heap is open; that happens once in a process.
    pub fn opened(&self, counters: Arc<Counters>) {
        self.0.get_or_init(|| counters);
    }
}

impl Registered for Heap {
    fn register(&self, registry: &mut Registry, _name: &'static str, _doc: &'static str) {
        let heap = Arc::clone(&self.0);
        registry.register_collector(Box::new(LookedUp(move || heap_numbers(&heap))));
    }
}

fn heap_numbers(heap: &OnceLock<Arc<Counters>>) -> Vec<Number> {
    let stats = heap
        .get()
        .map(|counters| counters.stats())
        .unwrap_or_default();
    let number = |name, help, value| Number { name, help, value };
    vec![
        number(
            "heap_syncs",
            "Syncs of the heap, each of a group of records",
            Value::Counter(stats.groups),
        ),
        number(
            "heap_records",
            "Records in the heap's groups",
            Value::Counter(stats.records),
        ),
        number(
            "heap_sync_seconds",
            "Time that the heap's syncs took",
            Value::Seconds(stats.sync_time.as_secs_f64()),
        ),
    ]
}
