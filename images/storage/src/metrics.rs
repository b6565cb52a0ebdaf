//! What a shard counts. The doc comment is the metric's help text.

use std::sync::{Arc, OnceLock};

use kit::admin::{LookedUp, Number, Value};
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

/// The shard's counters and gauges. Cheap to clone.
#[derive(Debug, Clone, Default)]
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
    pub volume_free: Gauge,
    /// Live POP3 sessions.
    pub sessions: Gauge,
    /// 1 while the lease is held.
    pub lease_held: Gauge,
    /// What the heap counts, once it is open.
    pub heap: Arc<OnceLock<Arc<Counters>>>,
    /// 1 when the volume was full: the shard only reads until it starts anew.
    pub read_only: Gauge,
}

impl Metrics {
    /// Names them in a registry.
    pub fn register(&self, registry: &mut Registry) {
        let Self {
            deliveries,
            body_octets,
            expunged,
            missing_accounts,
            faults,
            orders_waiting,
            reports_failed,
            imported,
            accounts,
            octets,
            messages,
            volume_free,
            sessions,
            lease_held,
            heap,
            read_only,
        } = self.clone();
        registry.register(
            "deliveries",
            "Targets of deliveries, by what became of them",
            deliveries,
        );
        registry.register(
            "body_octets",
            "Octets of message bodies stored",
            body_octets,
        );
        registry.register("expunged", "Messages expunged", expunged);
        let help = "Requests for an account that is assigned here and is not here: a fault";
        registry.register("missing_accounts", help, missing_accounts);
        let help = "Orders of the directory that do not fit what the shard holds: faults";
        registry.register("faults", help, faults);
        let help = "Orders of the directory that failed and are tried again";
        registry.register("orders_waiting", help, orders_waiting);
        let help = "Reports of load and quota states that the directory did not record";
        registry.register("reports_failed", help, reports_failed);
        registry.register("imported", "Messages that moves brought", imported);
        registry.register("accounts", "Accounts held", accounts);
        registry.register("octets", "Octets of live messages", octets);
        registry.register("messages", "Live messages", messages);
        registry.register(
            "volume_free_octets",
            "Octets free on the volume",
            volume_free,
        );
        registry.register("sessions", "Live POP3 sessions", sessions);
        registry.register("lease_held", "1 while the lease is held", lease_held);
        registry.register_collector(Box::new(LookedUp(move || heap_numbers(&heap))));
        let help = "1 when the volume was full: the shard only reads until it starts anew";
        registry.register("read_only", help, read_only);
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
