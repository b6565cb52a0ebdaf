//! What a directory counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use wire::rpc::authenticate_reply::Result as Outcome;
use wire::rpc::resolve_answer::Answer;
use wire::rpc::{No, ResolveAnswer};

use crate::map::Shared;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    /// yes, unknown, foreign, removed, nobody_knows or not_me.
    answer: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Login {
    /// granted, denied, busy, nobody_knows or not_me.
    outcome: &'static str,
}

/// A directory's counters and gauges.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    resolved: Family<Answered, Counter>,
    logins: Family<Login, Counter>,
    accounts: Gauge,
    map_bytes: Gauge,
    revision: Gauge,
    unknown_keys: Gauge,
}

impl Metrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("resolved", "Queries answered", self.resolved.clone());
        registry.register("logins", "Passwords checked", self.logins.clone());
        registry.register("accounts", "Accounts in the map", self.accounts.clone());
        registry.register_with_unit(
            "map",
            "Memory of the map",
            Unit::Bytes,
            self.map_bytes.clone(),
        );
        registry.register("revision", "Revision of the map", self.revision.clone());
        let help = "Keys of the store that this version does not know";
        registry.register("unknown_keys", help, self.unknown_keys.clone());
    }

    pub(crate) fn resolved(&self, answers: &[ResolveAnswer]) {
        for answer in answers {
            let answer = match &answer.answer {
                Some(Answer::Yes(_)) => "yes",
                Some(Answer::No(no)) => no_label(*no),
                Some(Answer::NobodyKnows(_)) | None => "nobody_knows",
            };
            self.resolved.get_or_create(&Answered { answer }).inc();
        }
    }

    /// Counts queries that another replica is to be asked.
    pub(crate) fn queries_refused(&self, queries: usize) {
        let answer = "not_me";
        let counter = self.resolved.get_or_create(&Answered { answer });
        counter.inc_by(queries as u64);
    }

    /// Counts a login that another replica is to be asked about.
    pub(crate) fn login_refused(&self) {
        let outcome = "not_me";
        self.logins.get_or_create(&Login { outcome }).inc();
    }

    /// Counts a login; the outcome's label.
    pub(crate) fn authenticated(&self, outcome: &Outcome) -> &'static str {
        let outcome = match outcome {
            Outcome::Granted(_) => "granted",
            Outcome::Denied(_) => "denied",
            Outcome::Busy(_) => "busy",
            Outcome::NobodyKnows(_) => "nobody_knows",
        };
        self.logins.get_or_create(&Login { outcome }).inc();
        outcome
    }

    /// Reads the gauges from the map.
    pub(crate) fn observe(&self, shared: &Shared) {
        let map = shared.read();
        self.accounts.set(gauge(map.account_count() as u64));
        self.map_bytes.set(gauge(map.bytes() as u64));
        self.unknown_keys.set(gauge(map.unknown_keys()));
        self.revision.set(gauge(shared.revision().0));
    }
}

fn no_label(no: i32) -> &'static str {
    match No::try_from(no) {
        Ok(No::Foreign) => "foreign",
        Ok(No::Removed) => "removed",
        Ok(No::Unknown | No::Unspecified) | Err(_) => "unknown",
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
