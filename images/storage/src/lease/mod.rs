//! The shard's lease, as everything that answers sees it.

use std::sync::Arc;
use std::time::Duration;

use kit::pause::most_of;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};
use wire::ids::Incarnation;

pub mod clock;

use self::clock::{LeaseClock, Standing};

/// A clock that goes on while the machine sleeps; see [`kit::clock::boottime`].
pub type Now = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Why an answer may not be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotHeld {
    /// The directory has not confirmed the lease: try again later.
    #[error("the shard's lease is not confirmed")]
    Unsure,
    /// Another incarnation serves: this process ends.
    #[error("incarnation {0} of this shard has taken over")]
    Superseded(Incarnation),
}

/// The lease of this incarnation. Cheap to clone.
#[derive(Clone)]
pub struct Lease {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Mutex<LeaseClock>,
    now: Now,
    /// How long an answer waits for the directory's.
    patience: Duration,
    /// Goes up with every answer or silence of the directory.
    news: watch::Sender<u64>,
    /// Asks the keeper to ask now.
    ask: Notify,
}

impl Lease {
    /// A lease that is not held yet.
    pub fn new(now: Now, patience: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                clock: Mutex::default(),
                now,
                patience,
                news: watch::Sender::new(0),
                ask: Notify::new(),
            }),
        }
    }

    /// The time by the lease's clock.
    pub fn now(&self) -> Duration {
        (self.shared.now)()
    }

    /// What holds now.
    pub fn standing(&self) -> Standing {
        self.clock().standing(self.now())
    }

    /// Whether it holds now.
    pub fn is_held(&self) -> bool {
        self.standing() == Standing::Held
    }

    /// See [`LeaseClock::granted`].
    pub fn granted(&self, sent: Duration, ttl: Duration) {
        self.clock().granted(sent, ttl);
        self.tell();
    }

    /// See [`LeaseClock::unanswered`].
    pub fn unanswered(&self, sent: Duration) {
        self.clock().unanswered(sent);
        self.tell();
    }

    /// See [`LeaseClock::superseded`].
    pub fn superseded(&self, by: Incarnation) {
        self.clock().superseded(by);
        self.tell();
    }

    /// When the lease is to be renewed, or a wish of [`Lease::for_write`] before.
    pub async fn renewal_due(&self) {
        let due = most_of(self.clock().renew_at().saturating_sub(self.now()));
        tokio::select! {
            () = tokio::time::sleep(due) => {}
            () = self.shared.ask.notified() => {}
        }
    }

    /// May a change be acknowledged now? Asks the directory first when the lease ran out.
    pub async fn for_write(&self) -> Result<(), NotHeld> {
        match self.settled(|standing| standing == Standing::Held).await {
            Standing::Held => Ok(()),
            Standing::Superseded(by) => Err(NotHeld::Superseded(by)),
            Standing::Expired | Standing::Silent => Err(NotHeld::Unsure),
        }
    }

    /// May what is acknowledged be read now? When nobody answers: yes.
    pub async fn for_read(&self) -> Result<(), NotHeld> {
        match self.settled(|standing| standing != Standing::Expired).await {
            Standing::Superseded(by) => Err(NotHeld::Superseded(by)),
            _ => Ok(()),
        }
    }

    /// Waits, bounded, until the standing is `enough` or final.
    async fn settled(&self, enough: impl Fn(Standing) -> bool) -> Standing {
        let mut news = self.shared.news.subscribe();
        let deadline = tokio::time::Instant::now() + self.shared.patience;
        loop {
            let standing = self.standing();
            if enough(standing) || matches!(standing, Standing::Superseded(_)) {
                return standing;
            }
            self.shared.ask.notify_one();
            match tokio::time::timeout_at(deadline, news.changed()).await {
                Ok(Ok(())) => {}
                _ => return self.standing(),
            }
        }
    }

    fn tell(&self) {
        self.shared.news.send_modify(|count| *count += 1);
    }

    fn clock(&self) -> MutexGuard<'_, LeaseClock> {
        self.shared.clock.lock()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const TTL: Duration = Duration::from_secs(20);

    fn lease() -> (Lease, Arc<AtomicU64>) {
        let seconds = Arc::new(AtomicU64::new(1000));
        let now = {
            let seconds = Arc::clone(&seconds);
            Arc::new(move || Duration::from_secs(seconds.load(Ordering::SeqCst)))
        };
        let lease = Lease::new(now, Duration::from_millis(50));
        lease.granted(lease.now(), TTL);
        (lease, seconds)
    }

    #[tokio::test]
    async fn asks_when_it_ran_out_and_goes_on_when_renewed() {
        let (lease, seconds) = lease();
        assert_eq!(lease.for_write().await, Ok(()));
        seconds.fetch_add(21, Ordering::SeqCst);
        let keeper = tokio::spawn({
            let lease = lease.clone();
            async move {
                lease.shared.ask.notified().await;
                lease.granted(lease.now(), TTL);
            }
        });
        assert_eq!(lease.for_write().await, Ok(()));
        keeper.await.unwrap();
    }

    #[tokio::test]
    async fn nobody_answers_reads_go_on_writes_do_not() {
        let (lease, seconds) = lease();
        seconds.fetch_add(21, Ordering::SeqCst);
        assert_eq!(lease.for_write().await, Err(NotHeld::Unsure));
        assert_eq!(lease.for_read().await, Ok(()));
        lease.unanswered(lease.now());
        assert_eq!(lease.standing(), Standing::Silent);
        assert_eq!(lease.for_write().await, Err(NotHeld::Unsure));
        assert_eq!(lease.for_read().await, Ok(()));
    }

    #[tokio::test]
    async fn superseded_ends_both() {
        let (lease, seconds) = lease();
        seconds.fetch_add(21, Ordering::SeqCst);
        lease.superseded(Incarnation(3));
        let ended = Err(NotHeld::Superseded(Incarnation(3)));
        assert_eq!(lease.for_write().await, ended);
        assert_eq!(lease.for_read().await, ended);
    }
}
