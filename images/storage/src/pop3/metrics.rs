//! What the POP3 listener counts. The doc comment is the metric's help text.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::maildrop::OpenError;

kit::metrics! {
    /// Counters of the sessions; cheap to clone.
    pub struct Metrics {
        /// Maildrops open now.
        pub(super) sessions: Gauge,
        /// Maildrops asked for.
        pub(super) logins: Family<LoginLabel, Counter>,
        /// Messages sent, whole or in part.
        pub(super) messages: Counter,
        /// Octets of messages sent.
        pub(super) octets: Counter,
        /// Messages deleted by QUIT.
        pub(super) deleted: Counter,
        /// Messages that a QUIT failed to delete.
        pub(super) not_deleted: Counter,
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
