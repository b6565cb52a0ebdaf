//! What a directory counts. The doc comment is the metric's help text.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
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

kit::metrics! {
    /// A directory's counters and gauges.
    pub(crate) struct Metrics {
        /// Queries answered.
        resolved: Family<Answered, Counter>,
        /// Passwords checked.
        logins: Family<Login, Counter>,
        /// Accounts in the map.
        accounts: Gauge,
        /// Memory of the map.
        map_bytes: Gauge,
        /// Revision of the map.
        revision: Gauge,
        /// Keys of the store that this version does not know.
        unknown_keys: Gauge,
    }
}

impl Metrics {
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
