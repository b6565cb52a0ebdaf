//! Notices that files changed, and takes them once they are whole.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use crate::lifecycle::Shutdown;

/// What a file looked like: modification time, size and inode, or `None` when it is not there.
/// Kubernetes swaps a link to a new folder, so the inode alone tells; editors keep neither.
pub(crate) type Stamp = Option<(i64, i64, u64, u64)>;

pub(crate) fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.size(),
        metadata.ino(),
    ))
}

/// Something that is loaded from files.
pub(crate) trait Source: Clone + Send + Sync + 'static {
    /// Why what lies there was not taken.
    type Error: std::error::Error;
    /// What is loaded, for the log.
    const WHAT: &'static str;
    /// Whose it is, for the log.
    fn name(&self) -> String;
    /// What the files looked like just before they were first read.
    fn first_stamps(&self) -> Vec<Stamp>;
    /// What the files look like now.
    fn stamps(&self) -> Vec<Stamp>;
    /// Reads them all; on an error what was loaded before stays.
    fn reload(&self) -> Result<(), Self::Error>;
    fn counts(&self) -> &Counts;
    /// Says what a person should know of what is in use; at once, after a reload, and every day.
    fn report(&self) {}
}

/// How often files were reloaded, and how often what lay there was no good.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) done: Counter,
    pub(crate) failed: Counter,
}

impl Counts {
    /// Adds the counters to a registry, under the given name, for example `tls`.
    pub(crate) fn register(&self, name: &str, what: &str, registry: &mut Registry) {
        registry.register(
            format!("{name}_reloads"),
            format!("Changed {what} taken over from disk since the start"),
            self.done.clone(),
        );
        registry.register(
            format!("{name}_reload_failures"),
            format!("Changed {what} refused; the old ones stay in use"),
            self.failed.clone(),
        );
    }
}

/// How often a report is made.
const REMIND: Duration = Duration::from_secs(24 * 60 * 60);

/// Looks at the files every `interval` until the process closes.
pub(crate) fn watch<S: Source>(source: S, interval: Duration, shutdown: Shutdown) {
    tokio::spawn(async move {
        let mut watched = Watched::new(source.first_stamps());
        let mut reminder = Reminder::default();
        loop {
            if reminder.is_due(Instant::now()) {
                source.report();
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
                    tracing::error!(%error, "the watch over {} ended", S::WHAT);
                    return;
                }
            }
        }
    });
}

/// When a report was last made.
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
                source.counts().done.inc();
                tracing::info!(of = source.name(), "{} reloaded", S::WHAT);
                source.report();
            }
            Err(error) => {
                source.counts().failed.inc();
                let of = source.name();
                tracing::error!(of, %error, "{} not reloaded, the old ones stay", S::WHAT);
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
