//! Where passwords are hashed: as many at a time as there are cores, a bounded number waiting.

use std::sync::Arc;

use kit::task::NoAnswer;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wire::secret::Secret;

use crate::credential::{self, Cost, HashError, Scratch};

/// The pool.
#[derive(Clone)]
pub(crate) struct Pool {
    cost: Cost,
    /// Hashes that run.
    running: Arc<Semaphore>,
    /// Logins that run or wait.
    admitted: Arc<Semaphore>,
    /// Hashes of new passwords that run: an import leaves cores to the logins.
    background: Arc<Semaphore>,
    /// Memory of hashes that ran, for the next ones: as many as ever ran at a time.
    idle: Arc<Mutex<Vec<Scratch>>>,
}

/// Why a password was not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotVerified {
    /// All places are taken.
    Full,
    NoAnswer(NoAnswer),
}

impl Pool {
    /// `waiting` logins may wait beside those that run.
    pub(crate) fn new(cores: usize, waiting: usize, cost: Cost) -> Self {
        Self {
            cost,
            running: Arc::new(Semaphore::new(cores)),
            admitted: Arc::new(Semaphore::new(cores + waiting)),
            background: Arc::new(Semaphore::new(cores.div_ceil(2))),
            idle: Arc::default(),
        }
    }

    pub(crate) fn cost(&self) -> Cost {
        self.cost
    }

    /// Whether the password is the stored one; [`NotVerified::Full`] at once when too many wait.
    pub(super) async fn verify(&self, password: Secret, phc: String) -> Result<bool, NotVerified> {
        let admitted = self.admitted.try_acquire();
        let _admitted = admitted.map_err(|_| NotVerified::Full)?;
        let run = move |scratch: &mut Scratch| credential::verify(&password, &phc, scratch);
        self.run(run).await.map_err(NotVerified::NoAnswer)
    }

    /// Hashes a new password; waits for its turn.
    pub(crate) async fn hash(&self, password: Secret) -> Result<String, HashError> {
        // The semaphores are never closed: without a permit there is only more work at a time.
        let _turn = self.background.acquire().await.ok();
        let cost = self.cost;
        let run = move |scratch: &mut Scratch| credential::hash(&password, cost, scratch);
        self.run(run).await?
    }

    async fn run<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Scratch) -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        // Never closed, as above.
        let permit = Arc::clone(&self.running).acquire_owned().await.ok();
        let idle = Arc::clone(&self.idle);
        // The permit goes along, so that a caller that goes away does not free a busy core.
        let run = move || {
            let mut scratch = lock(&idle).pop().unwrap_or_default();
            let done = run(&mut scratch);
            lock(&idle).push(scratch);
            drop(permit);
            done
        };
        kit::task::blocking(run).await
    }
}

fn lock(idle: &Mutex<Vec<Scratch>>) -> parking_lot::MutexGuard<'_, Vec<Scratch>> {
    idle.lock()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::CHEAP;

    #[tokio::test]
    async fn is_full_at_once_when_all_places_are_taken() {
        let pool = Pool::new(1, 1, CHEAP);
        let phc = pool.hash(Secret::new("a")).await.unwrap();
        let core = Arc::clone(&pool.running).acquire_owned().await.unwrap();
        let waiting = [(); 2].map(|()| {
            let (pool, phc) = (pool.clone(), phc.clone());
            tokio::spawn(async move { pool.verify(Secret::new("a"), phc).await })
        });
        while pool.admitted.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            pool.verify(Secret::new("a"), phc.clone()).await,
            Err(NotVerified::Full)
        );
        drop(core);
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), Ok(true));
        }
        assert_eq!(pool.verify(Secret::new("b"), phc).await, Ok(false));
        assert_eq!(lock(&pool.idle).len(), 1, "one core needs memory once");
    }
}
