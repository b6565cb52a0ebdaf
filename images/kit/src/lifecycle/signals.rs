//! SIGTERM and SIGINT ask to stop; the second one cuts.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::Shutdown;

/// From the deadline until the process ends, whatever it still does: files are closed in it. Less
/// than the 5 s that are added to lame duck and drain for whoever ends processes by force.
const LAST: Duration = Duration::from_secs(4);

/// A process that did not end in time.
const EXIT_LATE: i32 = 1;

impl Shutdown {
    /// Triggers on SIGTERM and SIGINT; a second signal cuts what is at work at once. A process that
    /// is still there a few seconds after its deadline is ended. Call it in a runtime, before the
    /// first listener opens.
    pub fn on_signals(&self) -> std::io::Result<()> {
        let mut signals = Signals::new()?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            let signal = signals.next().await;
            let (lame_duck, drain) = (shutdown.inner.lame_duck, shutdown.inner.drain);
            tracing::info!(signal, ?lame_duck, ?drain, "stopping");
            shutdown.trigger();
            tokio::select! {
                signal = signals.next() => {
                    tracing::warn!(signal, "second signal: what is at work is cut off");
                    shutdown.cut_now();
                }
                () = shutdown.cut() => {}
            }
            sleep(LAST).await;
            tracing::error!("not ended in time: ending now");
            std::process::exit(EXIT_LATE);
        });
        Ok(())
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
