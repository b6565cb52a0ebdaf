//! Life and death of a process: asked to stop, lame duck, closing, drained.
//!
//! On SIGTERM a process goes on accepting and stays ready for its lame-duck time, so that whoever
//! balances load sees it leave; then it closes its listeners; then it waits, bounded, until the
//! work that holds a [`Guard`] is done.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

/// The lame-duck time on Kubernetes: endpoints leave the balancer within a few seconds of SIGTERM,
/// and clients that have just looked the name up need some more.
pub const LAME_DUCK: Duration = Duration::from_secs(20);

/// How long work may go on after the listeners closed. With [`LAME_DUCK`] it stays below the 90 s
/// that our pods are given before SIGKILL.
pub const DRAIN: Duration = Duration::from_secs(60);

/// The end of a process, shared by all its parts; cheap to clone.
#[derive(Clone)]
pub struct Shutdown {
    inner: Arc<Inner>,
}

struct Inner {
    lame_duck: Duration,
    /// When listeners close; `None` until somebody asked to stop.
    closes_at: watch::Sender<Option<Instant>>,
    /// Live guards by name.
    guards: Mutex<BTreeMap<&'static str, usize>>,
    live: watch::Sender<usize>,
}

impl Shutdown {
    /// A process that goes on accepting for `lame_duck` after it was asked to stop.
    pub fn new(lame_duck: Duration) -> Self {
        Self {
            inner: Arc::new(Inner {
                lame_duck,
                closes_at: watch::Sender::new(None),
                guards: Mutex::new(BTreeMap::new()),
                live: watch::Sender::new(0),
            }),
        }
    }

    /// Asks to stop, after the lame-duck time. Asked again, nothing changes.
    pub fn trigger(&self) {
        let closes_at = Instant::now() + self.inner.lame_duck;
        self.inner.closes_at.send_if_modified(|at| {
            let first = at.is_none();
            at.get_or_insert(closes_at);
            first
        });
    }

    /// Asks to stop without a lame-duck time.
    pub fn trigger_now(&self) {
        self.inner.closes_at.send_replace(Some(Instant::now()));
    }

    /// Triggers on SIGTERM and SIGINT; a second signal ends the process at once. Call it in a
    /// runtime, before the first listener opens.
    pub fn on_signals(&self) -> std::io::Result<()> {
        let mut signals = Signals::new()?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            let name = signals.next().await;
            tracing::info!(signal = name, lame_duck = ?shutdown.inner.lame_duck, "stopping");
            shutdown.trigger();
            let name = signals.next().await;
            tracing::warn!(signal = name, "second signal: ending now");
            std::process::exit(EXIT_BY_SIGNAL);
        });
        Ok(())
    }

    /// Resolves once the process was asked to stop; it still accepts and is still ready.
    pub async fn triggered(&self) {
        self.closing_time().await;
    }

    /// Resolves once the lame-duck time is over: listeners close.
    pub async fn closing(&self) {
        let mut changes = self.inner.closes_at.subscribe();
        loop {
            let at = *changes.borrow_and_update();
            match at {
                None => wait_for_change(&mut changes).await,
                Some(at) if at <= Instant::now() => return,
                Some(at) => {
                    tokio::select! {
                        () = sleep_until(at) => return,
                        () = wait_for_change(&mut changes) => {}
                    }
                }
            }
        }
    }

    /// Whether the process was asked to stop.
    pub fn is_triggered(&self) -> bool {
        self.inner.closes_at.borrow().is_some()
    }

    /// Whether the lame-duck time is over.
    pub fn is_closing(&self) -> bool {
        let at = *self.inner.closes_at.borrow();
        at.is_some_and(|at| at <= Instant::now())
    }

    /// Live work: the process stays up, bounded by the drain deadline, until the guard is dropped.
    pub fn guard(&self, name: &'static str) -> Guard {
        *self.guards().entry(name).or_default() += 1;
        self.inner.live.send_modify(|live| *live += 1);
        Guard {
            name,
            shutdown: self.clone(),
        }
    }

    /// Waits until no guard is left; after `deadline` says what still is.
    pub async fn drained(&self, deadline: Duration) -> Result<(), NotDrained> {
        let mut live = self.inner.live.subscribe();
        match timeout(deadline, live.wait_for(|live| *live == 0)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(NotDrained {
                deadline,
                left: self.guards().clone(),
            }),
        }
    }

    async fn closing_time(&self) {
        let mut changes = self.inner.closes_at.subscribe();
        // The sender lives in `self`, so the wait cannot fail.
        let _ = changes.wait_for(Option::is_some).await;
    }

    fn guards(&self) -> MutexGuard<'_, BTreeMap<&'static str, usize>> {
        self.inner.guards.lock()
    }
}

/// 128 + SIGINT, what shells use for "ended by a signal".
const EXIT_BY_SIGNAL: i32 = 130;

async fn wait_for_change(changes: &mut watch::Receiver<Option<Instant>>) {
    // The sender lives as long as the `Shutdown` that waits, so this cannot fail.
    let _ = changes.changed().await;
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown")
            .field("triggered", &self.is_triggered())
            .field("closing", &self.is_closing())
            .field("guards", &*self.guards())
            .finish()
    }
}

/// Keeps the process up until it is dropped.
#[derive(Debug)]
pub struct Guard {
    name: &'static str,
    shutdown: Shutdown,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut guards = self.shutdown.guards();
        if let Some(count) = guards.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                guards.remove(self.name);
            }
        }
        drop(guards);
        self.shutdown.inner.live.send_modify(|live| *live -= 1);
    }
}

/// Work that outlived the drain deadline, by name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("still at work {} s after closing: {}", deadline.as_secs(), list(left))]
pub struct NotDrained {
    /// How long it was waited for.
    pub deadline: Duration,
    /// How many guards of each name are left.
    pub left: BTreeMap<&'static str, usize>,
}

fn list(left: &BTreeMap<&'static str, usize>) -> String {
    let each: Vec<_> = left
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    each.join(", ")
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

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(40);
    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn accepts_through_the_lame_duck_time_then_closes() {
        let shutdown = Shutdown::new(SHORT);
        assert!(!shutdown.is_triggered());
        let asked = Instant::now();
        shutdown.trigger();
        shutdown.triggered().await;
        assert!(shutdown.is_triggered());
        shutdown.closing().await;
        assert!(shutdown.is_closing());
        assert!(asked.elapsed() >= SHORT);
    }

    #[tokio::test]
    async fn a_second_trigger_does_not_prolong() {
        let shutdown = Shutdown::new(LONG);
        shutdown.trigger();
        let first = *shutdown.inner.closes_at.borrow();
        shutdown.trigger();
        assert_eq!(*shutdown.inner.closes_at.borrow(), first);
        assert!(!shutdown.is_closing());
    }

    #[tokio::test]
    async fn can_close_at_once() {
        let shutdown = Shutdown::new(LONG);
        shutdown.trigger();
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.closing().await }
        });
        tokio::task::yield_now().await;
        shutdown.trigger_now();
        waiting.await.unwrap();
        assert!(shutdown.is_closing());
    }

    #[tokio::test]
    async fn guards_keep_it_up_until_dropped() {
        let shutdown = Shutdown::new(Duration::ZERO);
        assert_eq!(shutdown.drained(SHORT).await, Ok(()));
        let guards = [shutdown.guard("delivery"), shutdown.guard("delivery")];
        let late = shutdown.drained(SHORT).await.unwrap_err();
        assert_eq!(late.left, BTreeMap::from([("delivery", 2)]));
        assert!(late.to_string().ends_with("2 delivery"), "{late}");
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.drained(LONG).await }
        });
        drop(guards);
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }
}
