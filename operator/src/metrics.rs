//! What the operator counts. The doc comment is the metric's help text.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use crate::objects::Kind;

kit::metrics! {
    /// Its counters; cheap to clone.
    pub struct Metrics {
        /// Looks at objects, by kind and outcome.
        reconciles: Family<Look, Counter>,
        /// Seconds that a look at an object took.
        reconcile_seconds: Histogram = Histogram::new(SECONDS),
        /// Requests that changed objects, by kind and verb.
        writes: Family<Write, Counter>,
        /// Fields of ours that somebody else had changed, by kind.
        drift: Family<OfKind, Counter>,
    }
}

/// From nothing to do to an API server that is slow.
const SECONDS: [f64; 8] = [0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0];

/// How something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// An object that was not there.
    Create,
    /// Fields of ours.
    Apply,
    /// What is told of an object.
    Status,
    /// An object that goes.
    Delete,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Look {
    kind: &'static str,
    /// done or failed.
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    kind: &'static str,
    verb: &'static str,
}

impl Metrics {
    pub(crate) fn looked(&self, kind: &'static str, took: Duration, is_done: bool) {
        let outcome = if is_done { "done" } else { "failed" };
        self.reconciles.get_or_create(&Look { kind, outcome }).inc();
        self.reconcile_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn wrote(&self, kind: &'static str, verb: Verb) {
        let verb = match verb {
            Verb::Create => "create",
            Verb::Apply => "apply",
            Verb::Status => "status",
            Verb::Delete => "delete",
        };
        self.writes.get_or_create(&Write { kind, verb }).inc();
    }

    pub(crate) fn drifted(&self, kind: Kind) {
        let kind = kind.as_str();
        self.drift.get_or_create(&OfKind { kind }).inc();
    }
}
