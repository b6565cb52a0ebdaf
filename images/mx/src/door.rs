//! Whether new sessions are let in, and how many there are.

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

/// The door of one MX.
#[derive(Debug, Clone)]
pub struct Door {
    cordoned: watch::Sender<bool>,
    sessions: Gauge,
}

impl Door {
    /// Open; `sessions` counts those inside.
    pub fn new(sessions: Gauge) -> Self {
        Self {
            cordoned: watch::Sender::new(false),
            sessions,
        }
    }

    /// From now on nobody is let in; or, with `false`, everybody again.
    pub fn cordon(&self, on: bool) {
        self.cordoned.send_replace(on);
    }

    /// Whether nobody is let in.
    pub fn is_cordoned(&self) -> bool {
        *self.cordoned.borrow()
    }

    /// Likewise, and changes of that.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.cordoned.subscribe()
    }

    /// Sessions that are open.
    pub fn sessions(&self) -> u64 {
        u64::try_from(self.sessions.get()).unwrap_or(0)
    }
}
