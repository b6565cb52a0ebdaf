//! What MX counts. The doc comment is the metric's help text.

use kit::admin::{LookedUp, Number, Value};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use wire::ids::ShardName;

use crate::spool::Spool;

/// One label: what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Became {
    /// See the metric.
    pub(crate) result: &'static str,
}

/// One label: the shard.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfShard {
    /// Its name.
    pub(crate) shard: String,
}

kit::metrics! {
    /// Counters of an MX; cheap to clone.
    pub(crate) struct Metrics {
        /// Sessions open now.
        pub(crate) sessions: Gauge,
        /// Recipients asked for: known, unknown, foreign, over_quota, unsure.
        pub(crate) recipients: Family<Became, Counter>,
        /// Recipients after the body: stored, duplicate, queued, deferred, gone, refused.
        pub(crate) outcomes: Family<Became, Counter>,
        /// Octets of messages taken in, refused ones too.
        pub(crate) octets: Counter,
        /// Recipients whose mail went to the spool, by the shard that it was for.
        pub(crate) spooled: Family<OfShard, Counter>,
        /// Messages for a shard that had just gone: waited for it in memory; no_room: did not.
        pub(crate) waited: Family<Became, Counter>,
        /// Messages that the spool did not take: full, no_room, failed, busy, slow, body.
        pub(crate) not_spooled: Family<Became, Counter>,
        /// From the end of the body to the answer.
        pub(crate) answer_seconds: Histogram = Histogram::new(ANSWER_BUCKETS),
    }
}

/// From one quick sync to what the spool waits for.
const ANSWER_BUCKETS: [f64; 12] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0,
];

impl Metrics {
    /// Counts one recipient's answer.
    pub(crate) fn recipient(&self, result: &'static str) {
        self.recipients.get_or_create(&Became { result }).inc();
    }

    /// Counts what became of one recipient.
    pub(crate) fn outcome(&self, result: &'static str) {
        self.outcomes.get_or_create(&Became { result }).inc();
    }

    /// Counts one recipient whose mail went to the spool.
    pub(crate) fn spooled(&self, shard: &ShardName) {
        let shard = shard.to_string();
        self.spooled.get_or_create(&OfShard { shard }).inc();
    }

    /// Counts one message for a shard that had just gone.
    pub(crate) fn waited(&self, result: &'static str) {
        self.waited.get_or_create(&Became { result }).inc();
    }

    /// Counts one message that the spool did not take.
    pub(crate) fn not_spooled(&self, result: &'static str) {
        self.not_spooled.get_or_create(&Became { result }).inc();
    }
}

/// The spool in numbers, looked at when they are asked for.
pub(crate) fn of_spool(spool: Spool) -> Box<dyn Collector> {
    Box::new(LookedUp(move || {
        let counts = spool.counts();
        let number = |name, help, value| Number { name, help, value };
        let gauge = |name, help, value| number(name, help, Value::Gauge(value));
        vec![
            gauge(
                "spool_messages",
                "Messages in the spool",
                counts.entries as u64,
            ),
            gauge("spool_bytes", "Their octets", counts.bytes),
            gauge(
                "spool_pending",
                "Recipients that wait for their shard",
                counts.pending as u64,
            ),
            gauge(
                "spool_dead_letters",
                "Recipients that were given up",
                counts.dead as u64,
            ),
            gauge(
                "spool_shards_away",
                "Shards whose queues wait for them to answer",
                spool.away() as u64,
            ),
            gauge(
                "spool_failed",
                "1 when its log failed and is not open again yet",
                u64::from(spool.failed()),
            ),
            gauge(
                "spool_volume_free_octets",
                "Octets free on its volume, as last seen",
                spool.free(),
            ),
            number(
                "spool_syncs",
                "Syncs of the spool",
                Value::Counter(spool.syncs()),
            ),
        ]
    }))
}
