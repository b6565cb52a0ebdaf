//! What the POP3 listener counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters of the sessions; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    pub(super) sessions: Gauge,
    pub(super) opened: Counter,
    pub(super) in_use: Counter,
    pub(super) moved: Counter,
    pub(super) temporary: Counter,
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
        for (result, counter) in [
            ("opened", &self.opened),
            ("in_use", &self.in_use),
            ("moved", &self.moved),
            ("temporary", &self.temporary),
        ] {
            let labelled = registry.sub_registry_with_label(("result".into(), result.into()));
            labelled.register("logins", "Maildrops asked for", counter.clone());
        }
    }
}
