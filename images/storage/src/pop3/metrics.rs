//! What the POP3 listener counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::maildrop::OpenError;

/// Counters of the sessions; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    pub(super) sessions: Gauge,
    pub(super) logins: Family<LoginLabel, Counter>,
    pub(super) messages: Counter,
    pub(super) octets: Counter,
    pub(super) deleted: Counter,
    pub(super) not_deleted: Counter,
}

impl Metrics {
    /// Adds the counters to the shard's registry, each with the prefix `pop3_`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("pop3");
        registry.register("sessions", "Maildrops open now", self.sessions.clone());
        for (name, help, counter) in [
            (
                "messages",
                "Messages sent, whole or in part",
                &self.messages,
            ),
            ("octets", "Octets of messages sent", &self.octets),
            ("deleted", "Messages deleted by QUIT", &self.deleted),
            (
                "not_deleted",
                "Messages that a QUIT failed to delete",
                &self.not_deleted,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        registry.register("logins", "Maildrops asked for", self.logins.clone());
    }
}

/// How the opening of a maildrop went.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct LoginLabel {
    /// `opened`, `in_use`, `moved` or `temporary`.
    result: &'static str,
    /// Of a `temporary`: see [`crate::shard::Why`].
    reason: &'static str,
}

impl LoginLabel {
    pub(super) fn of<T>(opened: &Result<T, OpenError>) -> Self {
        let (result, reason) = match opened {
            Ok(_) => ("opened", ""),
            Err(OpenError::InUse) => ("in_use", ""),
            Err(OpenError::Moved(_)) => ("moved", ""),
            Err(OpenError::NotNow(why)) => ("temporary", why.label()),
        };
        Self { result, reason }
    }
}
