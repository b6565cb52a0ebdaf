//! Life and death of a process: asked to stop, lame duck, closing, cut.
//!
//! On SIGTERM a process goes on accepting and stays ready for its lame-duck time, so that whoever
//! balances load sees it leave; then it closes its listeners; then the work that holds a [`Guard`]
//! has the drain time. What is left at that deadline is cut. The deadline is fixed at the moment
//! of asking, and nobody waits for anything beyond it: lame duck + drain + 5 s after SIGTERM a
//! process has ended, whatever its clients do.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

mod signals;

/// The lame-duck time on Kubernetes: endpoints leave the balancer within a few seconds of SIGTERM,
/// and clients that have just looked the name up need some more.
pub const LAME_DUCK: Duration = Duration::from_secs(20);

/// How long work may go on after the listeners closed: a large message on a slow line.
pub const DRAIN: Duration = Duration::from_secs(60);

/// What is cut ends at its next await; this long is waited for it.
const CUT: Duration = Duration::from_secs(1);

/// The end of a process, shared by all its parts; cheap to clone.
#[derive(Clone)]
pub struct Shutdown {
    inner: Arc<Inner>,
}

struct Inner {
    lame_duck: Duration,
    drain: Duration,
    /// `None` until somebody asked to stop.
    end: watch::Sender<Option<End>>,
    /// What this is a stage of: nothing here lives on when that is cut.
    whole: Option<Arc<Inner>>,
    work: Mutex<Work>,
    live: watch::Sender<usize>,
}

/// When a process that was asked to stop closes, and when what is left is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    closes: Instant,
    deadline: Instant,
}

/// Guards by name.
#[derive(Debug, Default)]
struct Work {
    live: BTreeMap<&'static str, usize>,
    cut: BTreeMap<&'static str, usize>,
}

impl Shutdown {
    /// A process that, once asked to stop, goes on accepting for `lame_duck`, and then works on
    /// what it has for `drain` at most.
    pub fn new(lame_duck: Duration, drain: Duration) -> Self {
        Self::part(lame_duck, drain, None)
    }

    /// A part of this process that is asked to stop by itself, and has `drain` from then on; at the
    /// whole's deadline it is cut all the same.
    pub fn stage(&self, drain: Duration) -> Self {
        Self::part(Duration::ZERO, drain, Some(Arc::clone(&self.inner)))
    }

    fn part(lame_duck: Duration, drain: Duration, whole: Option<Arc<Inner>>) -> Self {
        Self {
            inner: Arc::new(Inner {
                lame_duck,
                drain,
                end: watch::Sender::new(None),
                whole,
                work: Mutex::default(),
                live: watch::Sender::new(0),
            }),
        }
    }

    /// Asks to stop, after the lame-duck time. Asked again, nothing changes.
    pub fn trigger(&self) {
        self.inner.end_by(self.inner.lame_duck, self.inner.drain);
    }

    /// Asks to stop without a lame-duck time.
    pub fn trigger_now(&self) {
        self.inner.end_by(Duration::ZERO, self.inner.drain);
    }

    /// Asks to stop without giving anything time to end: what is at work now is cut.
    pub fn cut_now(&self) {
        self.inner.end_by(Duration::ZERO, Duration::ZERO);
    }

    /// Resolves once the process was asked to stop; it still accepts and is still ready.
    pub async fn triggered(&self) {
        let mut changes = self.inner.end.subscribe();
        // The sender lives in `self`, so the wait cannot fail.
        let _ = changes.wait_for(Option::is_some).await;
    }

    /// Resolves once the lame-duck time is over: listeners close.
    pub async fn closing(&self) {
        self.inner.passed(|end| end.closes).await;
    }

    /// Resolves at the deadline: what is still at work ends now.
    pub async fn cut(&self) {
        let own = self.inner.passed(|end| end.deadline);
        let Some(whole) = &self.inner.whole else {
            return own.await;
        };
        tokio::select! {
            () = own => {}
            () = whole.passed(|end| end.deadline) => {}
        }
    }

    /// Whether the process was asked to stop.
    pub fn is_triggered(&self) -> bool {
        self.inner.end.borrow().is_some()
    }

    /// Whether the lame-duck time is over.
    pub fn is_closing(&self) -> bool {
        self.inner.has_passed(|end| end.closes)
    }

    fn is_cut(&self) -> bool {
        let whole = self.inner.whole.as_ref();
        self.inner.has_passed(|end| end.deadline)
            || whole.is_some_and(|whole| whole.has_passed(|end| end.deadline))
    }

    /// Live work: the process stays up for it until the guard is dropped, or to the deadline.
    pub fn guard(&self, name: &'static str) -> Guard {
        *self.work().live.entry(name).or_default() += 1;
        self.inner.live.send_modify(|live| *live += 1);
        Guard {
            name,
            shutdown: self.clone(),
        }
    }

    /// Starts work that is guarded, and dropped at the deadline wherever it then is; its
    /// connections close with it.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let guard = self.guard(name);
        let shutdown = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = work => {}
                () = shutdown.cut() => {}
            }
            drop(guard);
        });
    }

    /// Waits until no guard is left, and no longer than to the deadline; says what was cut there.
    pub async fn drained(&self) -> Result<(), Cut> {
        let mut live = self.inner.live.subscribe();
        let late = async {
            self.cut().await;
            sleep(CUT).await;
        };
        tokio::select! {
            _ = live.wait_for(|live| *live == 0) => {}
            () = late => {}
        }
        let work = self.work();
        let nothing = work.cut.is_empty() && work.live.is_empty();
        match nothing {
            true => Ok(()),
            false => Err(Cut {
                cut: work.cut.clone(),
                left: work.live.clone(),
            }),
        }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.inner.work.lock()
    }
}

impl Inner {
    /// Once asked to stop, no later word prolongs it.
    fn end_by(&self, lame_duck: Duration, drain: Duration) {
        let closes = Instant::now() + lame_duck;
        let deadline = closes + drain;
        self.end.send_if_modified(|end| {
            let sooner = end.map_or(End { closes, deadline }, |end| End {
                closes: end.closes.min(closes),
                deadline: end.deadline.min(deadline),
            });
            end.replace(sooner) != Some(sooner)
        });
    }

    fn has_passed(&self, moment: fn(&End) -> Instant) -> bool {
        let end = self.end.borrow();
        end.as_ref()
            .is_some_and(|end| moment(end) <= Instant::now())
    }

    async fn passed(&self, moment: fn(&End) -> Instant) {
        let mut changes = self.end.subscribe();
        loop {
            let at = changes.borrow_and_update().as_ref().map(moment);
            // The sender lives in `self`, so waiting for a change cannot fail.
            match at {
                None => drop(changes.changed().await),
                Some(at) if at <= Instant::now() => return,
                Some(at) => tokio::select! {
                    () = sleep_until(at) => return,
                    _ = changes.changed() => {}
                },
            }
        }
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown")
            .field("end", &*self.inner.end.borrow())
            .field("work", &*self.work())
            .finish_non_exhaustive()
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
        let is_cut = self.shutdown.is_cut();
        let mut work = self.shutdown.work();
        if let Some(count) = work.live.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                work.live.remove(self.name);
            }
        }
        if is_cut {
            *work.cut.entry(self.name).or_default() += 1;
        }
        drop(work);
        self.shutdown.inner.live.send_modify(|live| *live -= 1);
    }
}

/// Work that had not ended at the deadline, by the names of its guards.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cut off at the deadline: {}", list(cut, left))]
pub struct Cut {
    /// What was cut.
    pub cut: BTreeMap<&'static str, usize>,
    /// What did not end even so.
    pub left: BTreeMap<&'static str, usize>,
}

fn list(cut: &BTreeMap<&'static str, usize>, left: &BTreeMap<&'static str, usize>) -> String {
    let cut = cut.iter().map(|(name, count)| format!("{count} {name}"));
    let left = left
        .iter()
        .map(|(name, count)| format!("{count} {name} that still are at work"));
    cut.chain(left).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(40);
    const LONG: Duration = Duration::from_secs(3600);

    fn end(shutdown: &Shutdown) -> Option<End> {
        *shutdown.inner.end.borrow()
    }

    #[tokio::test]
    async fn accepts_through_the_lame_duck_time_then_closes() {
        let shutdown = Shutdown::new(SHORT, LONG);
        assert!(!shutdown.is_triggered());
        let asked = Instant::now();
        shutdown.trigger();
        shutdown.triggered().await;
        assert!(shutdown.is_triggered());
        shutdown.closing().await;
        assert!(shutdown.is_closing());
        assert!(!shutdown.is_cut());
        assert!(asked.elapsed() >= SHORT);
    }

    #[tokio::test]
    async fn a_second_trigger_does_not_prolong() {
        let shutdown = Shutdown::new(LONG, LONG);
        shutdown.trigger();
        let first = end(&shutdown);
        shutdown.trigger();
        assert_eq!(end(&shutdown), first);
        assert!(!shutdown.is_closing());
        shutdown.cut_now();
        let cut = end(&shutdown);
        shutdown.trigger_now();
        assert_eq!(end(&shutdown), cut);
    }

    #[tokio::test]
    async fn can_close_at_once() {
        let shutdown = Shutdown::new(LONG, LONG);
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
        let shutdown = Shutdown::new(Duration::ZERO, LONG);
        assert_eq!(shutdown.drained().await, Ok(()));
        let guards = [shutdown.guard("delivery"), shutdown.guard("delivery")];
        shutdown.trigger();
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.drained().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(guards);
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn what_is_left_at_the_deadline_is_cut_and_named() {
        let shutdown = Shutdown::new(Duration::ZERO, SHORT);
        let stuck = Arc::new(());
        for _ in 0..2 {
            let stuck = Arc::clone(&stuck);
            shutdown.spawn("delivery", async move {
                std::future::pending::<()>().await;
                drop(stuck);
            });
        }
        shutdown.spawn("quick", async {});
        let asked = Instant::now();
        shutdown.trigger();
        let cut = shutdown.drained().await.unwrap_err();
        assert!(asked.elapsed() >= SHORT);
        assert_eq!(cut.cut, BTreeMap::from([("delivery", 2)]));
        assert_eq!(cut.left, BTreeMap::new());
        assert!(cut.to_string().contains("2 delivery"), "{cut}");
        assert_eq!(Arc::strong_count(&stuck), 1);
    }

    #[tokio::test]
    async fn what_cannot_be_cut_is_waited_for_no_longer() {
        let shutdown = Shutdown::new(Duration::ZERO, Duration::ZERO);
        let _blocked = shutdown.guard("blocked");
        shutdown.trigger();
        let cut = shutdown.drained().await.unwrap_err();
        assert_eq!(cut.left, BTreeMap::from([("blocked", 1)]));
    }

    #[tokio::test]
    async fn a_stage_stops_by_itself_and_is_cut_with_the_whole() {
        let whole = Shutdown::new(Duration::ZERO, LONG);
        let (outer, inner) = (whole.stage(SHORT), whole.stage(LONG));
        for stage in [&outer, &inner] {
            stage.spawn("session", std::future::pending());
        }
        outer.trigger();
        assert!(outer.drained().await.is_err());
        assert!(!whole.is_triggered() && !inner.is_triggered());
        inner.trigger();
        whole.cut_now();
        let cut = inner.drained().await.unwrap_err();
        assert_eq!(cut.cut, BTreeMap::from([("session", 1)]));
    }
}
