//! Notices that certificate files changed, and takes them once they are whole.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rustls::sign::CertifiedKey;

use super::error::LoadError;
use super::expiry::Validity;
use super::files::Stamp;
use crate::clock;
use crate::lifecycle::Shutdown;

/// Something that is loaded from files.
pub(super) trait Source: Clone + Send + Sync + 'static {
    /// For the log.
    fn name(&self) -> String;
    /// What the files looked like just before they were first read.
    fn first_stamps(&self) -> Vec<Stamp>;
    /// What the files look like now.
    fn stamps(&self) -> Vec<Stamp>;
    /// Reads them all; on an error what was loaded before stays.
    fn reload(&self) -> Result<(), LoadError>;
    fn reloads(&self) -> &Reloads;
}

/// How often certificates were reloaded, how often what lay there was no good, and until when the
/// one in use is valid.
#[derive(Debug, Clone, Default)]
pub struct Reloads {
    done: Counter,
    failed: Counter,
    expires: Gauge,
    validity: Arc<Mutex<Validity>>,
}

impl Reloads {
    /// Adds the counters to a registry, under the given name, for example `tls`.
    pub fn register(&self, name: &str, registry: &mut Registry) {
        registry.register(
            format!("{name}_reloads"),
            "Certificate sets taken over from disk since the start",
            self.done.clone(),
        );
        registry.register(
            format!("{name}_reload_failures"),
            "Changed certificate sets that were refused; the old one stays in use",
            self.failed.clone(),
        );
        registry.register(
            format!("{name}_expires_timestamp_seconds"),
            "When the certificate in use expires, in Unix time",
            self.expires.clone(),
        );
    }

    /// When the certificate in use expires, in seconds since 1970.
    pub fn expires(&self) -> i64 {
        self.expires.get()
    }

    /// Notes how long the certificate is valid that is in use from now on.
    pub(super) fn note_validity(&self, pair: &CertifiedKey) {
        let leaf = pair.cert.first();
        let validity = leaf.map_or_else(Validity::default, |leaf| Validity::of(leaf));
        self.expires.set(validity.until);
        *self.validity() = validity;
    }

    fn validity(&self) -> MutexGuard<'_, Validity> {
        self.validity.lock()
    }

    /// Sets taken over since the start.
    pub fn done(&self) -> u64 {
        self.done.get()
    }

    /// Changed sets that were refused since the start.
    pub fn failed(&self) -> u64 {
        self.failed.get()
    }
}

/// How often a certificate that is about to expire is reported.
const REMIND: Duration = Duration::from_secs(24 * 60 * 60);

/// Looks at the files every `interval` until the process closes. A certificate that is about to
/// expire is reported at once, when it is loaded, and every day.
pub(super) fn watch<S: Source>(source: S, interval: Duration, shutdown: Shutdown) {
    tokio::spawn(async move {
        let mut watched = Watched::new(source.first_stamps());
        let mut reminder = Reminder::default();
        loop {
            if reminder.is_due(Instant::now()) {
                report(&source);
            }
            tokio::select! {
                () = shutdown.closing() => return,
                () = tokio::time::sleep(interval) => {}
            }
            let look = source.clone();
            let looked = tokio::task::spawn_blocking(move || {
                watched.look(&look);
                watched
            });
            match looked.await {
                Ok(back) => watched = back,
                Err(error) => {
                    tracing::error!(%error, "the watch over certificates ended");
                    return;
                }
            }
        }
    });
}

/// When a certificate that is about to expire was last reported.
#[derive(Default)]
struct Reminder {
    last: Option<Instant>,
}

impl Reminder {
    /// At first, and a day after the last time.
    fn is_due(&mut self, now: Instant) -> bool {
        let due = self
            .last
            .is_none_or(|last| now.saturating_duration_since(last) >= REMIND);
        if due {
            self.last = Some(now);
        }
        due
    }
}

/// Says so if the certificate in use is about to expire.
fn report<S: Source>(source: &S) {
    let validity = *source.reloads().validity();
    validity.report(&source.name(), clock::unix_ms() / 1000);
}

/// What was seen, and what is loaded.
struct Watched {
    loaded: Vec<Stamp>,
    seen: Vec<Stamp>,
}

impl Watched {
    fn new(stamps: Vec<Stamp>) -> Self {
        Self {
            loaded: stamps.clone(),
            seen: stamps,
        }
    }

    /// Reloads once changed files have stood still for one interval: whoever replaces three files
    /// one after the other is not caught in between.
    fn look<S: Source>(&mut self, source: &S) {
        let now = source.stamps();
        let still = now == self.seen;
        self.seen.clone_from(&now);
        if !still || now == self.loaded {
            return;
        }
        // Also after a failure: it is reported once, and tried again when the files change.
        self.loaded = now;
        match source.reload() {
            Ok(()) => {
                source.reloads().done.inc();
                tracing::info!(of = source.name(), "certificates reloaded");
                report(source);
            }
            Err(error) => {
                source.reloads().failed.inc();
                tracing::error!(of = source.name(), %error, "certificates not reloaded, the old ones stay");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reminder_comes_at_once_and_then_every_day() {
        let start = Instant::now();
        let hours: Vec<u64> = (0..=72)
            .scan(Reminder::default(), |reminder, hour| {
                let now = start + Duration::from_secs(hour * 60 * 60);
                Some((hour, reminder.is_due(now)))
            })
            .filter_map(|(hour, due)| due.then_some(hour))
            .collect();
        assert_eq!(hours, [0, 24, 48, 72]);
    }
}
