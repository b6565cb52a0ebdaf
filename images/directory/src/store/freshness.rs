//! The proof that a replica is not behind, which every "no" needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::{Error, Revision, SharedStore};

/// Proves that what a replica has applied holds everything committed before the request.
///
/// A linearizable read, begun after the request, says how far the store is; then the proof waits
/// until the replica has applied that much. All who wait at a time share one read: the next one,
/// never one that is under way already.
#[derive(Debug)]
pub struct Freshness {
    shared: Arc<Shared>,
    reached: watch::Receiver<Revision>,
    reader: JoinHandle<()>,
    /// Milliseconds since the machine started at which the newest proof began; 0: there was none.
    proven_at: AtomicU64,
}

/// Why currency could not be proved; a temporary failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsure {
    /// The store did not say how far it is.
    #[error("the directory cannot ask its store: {0}")]
    Store(Error),
    /// The store's answer did not come in time.
    #[error("the directory's store is slow")]
    Slow,
    /// The replica has not applied what it knows to exist.
    #[error("this directory replica is behind its store")]
    Behind,
}

#[derive(Debug)]
struct Shared {
    /// Number of the read that began last.
    begun: AtomicU64,
    /// Number of the read that somebody waits for.
    demand: watch::Sender<u64>,
    /// Number and answer of the read that ended last.
    ended: watch::Sender<(u64, Result<Revision, Error>)>,
}

impl Freshness {
    /// `reached` is the revision up to which the replica has applied the store's changes. Starts a
    /// task that ends when this is dropped.
    pub fn new(store: SharedStore, reached: watch::Receiver<Revision>) -> Self {
        let shared = Arc::new(Shared {
            begun: AtomicU64::new(0),
            demand: watch::Sender::new(0),
            ended: watch::Sender::new((0, Ok(Revision(0)))),
        });
        let reader = tokio::spawn(read_on_demand(store, shared.clone()));
        Self {
            shared,
            reached,
            reader,
            proven_at: AtomicU64::new(0),
        }
    }

    /// Waits until the replica has applied everything that was committed before this call.
    pub async fn prove_current(&self, deadline: Instant) -> Result<(), Unsure> {
        let began = milliseconds(kit::clock::boottime());
        self.prove(deadline).await?;
        self.proven_at.fetch_max(began, Ordering::SeqCst);
        Ok(())
    }

    /// Everything committed longer ago than this is applied; none: nothing was ever proved.
    pub fn age(&self) -> Option<Duration> {
        match self.proven_at.load(Ordering::SeqCst) {
            0 => None,
            proven => {
                let now = milliseconds(kit::clock::boottime());
                Some(Duration::from_millis(now.saturating_sub(proven)))
            }
        }
    }

    /// Returns once the replica has loaded.
    pub async fn loaded(&self) {
        let loaded = |reached: &Revision| *reached > Revision(0);
        // A follower that is gone loads nothing any more.
        if self.reached.clone().wait_for(loaded).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn prove(&self, deadline: Instant) -> Result<(), Unsure> {
        let head = timeout_at(deadline, self.next_read()).await;
        let head = head.map_err(|_| Unsure::Slow)?.map_err(Unsure::Store)?;
        let mut reached = self.reached.clone();
        let applied = timeout_at(deadline, reached.wait_for(|reached| *reached >= head)).await;
        match applied {
            Ok(Ok(_)) => Ok(()),
            // Late, or the follower that would apply it is gone.
            Ok(Err(_)) | Err(_) => Err(Unsure::Behind),
        }
    }

    /// The answer of a read that begins after this call.
    async fn next_read(&self) -> Result<Revision, Error> {
        let mut ended = self.shared.ended.subscribe();
        let wanted = self.shared.begun.load(Ordering::SeqCst) + 1;
        self.shared.demand.send_if_modified(|demand| {
            let more = wanted > *demand;
            *demand = wanted.max(*demand);
            more
        });
        match ended.wait_for(|(number, _)| *number >= wanted).await {
            Ok(read) => read.1.clone(),
            Err(_) => Err(Error::Unavailable("the reader has ended".to_owned())),
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Drop for Freshness {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// One read after the other, as long as somebody waits for the next one.
async fn read_on_demand(store: SharedStore, shared: Arc<Shared>) {
    let mut demand = shared.demand.subscribe();
    let mut number = 0;
    while demand.wait_for(|demand| *demand > number).await.is_ok() {
        number += 1;
        // Whoever loads the number from now on waits for the read after this one.
        shared.begun.store(number, Ordering::SeqCst);
        let answer = store.head().await;
        drop(shared.ended.send_replace((number, answer)));
    }
}
