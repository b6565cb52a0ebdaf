//! Digests under way and lately done. A large account takes longer than a caller waits, so it asks
//! again, and what was begun goes on meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use kit::task::NoAnswer;
use parking_lot::Mutex;
use segments::Position;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tonic::Status;
use wire::ids::AccountId;

use super::digest::{self, Digest};
use crate::index::Index;

/// Digests at a time: each keeps a processor busy.
const AT_ONCE: usize = 2;

/// How long a digest is kept for who asks again.
const KEPT: Duration = Duration::from_secs(600);

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Digests {
    runs: Arc<Mutex<HashMap<AccountId, Run>>>,
    places: Arc<Semaphore>,
}

type Answer = Result<Digest, Status>;

struct Run {
    /// The account's last change: the digest is of what it was then.
    at: Position,
    since: Instant,
    task: AbortHandle,
    answer: Shared<BoxFuture<'static, Answer>>,
}

impl Default for Digests {
    fn default() -> Self {
        Self {
            runs: Arc::default(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Digests {
    /// The digest of an account that does not change meanwhile, whose last change was `at`;
    /// `None`: not done within `patience`, and going on.
    pub(super) async fn of(
        &self,
        index: &Index,
        id: AccountId,
        at: Position,
        patience: Duration,
    ) -> Result<Option<Digest>, Status> {
        let answer = self.run(index, id, at);
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(digest)) => Ok(Some(digest)),
            Ok(Err(status)) => {
                // Who asks again may have more luck.
                self.runs.lock().remove(&id);
                Err(status)
            }
            Err(_) => Ok(None),
        }
    }

    fn run(
        &self,
        index: &Index,
        id: AccountId,
        at: Position,
    ) -> Shared<BoxFuture<'static, Answer>> {
        let mut runs = self.runs.lock();
        runs.retain(|_, run| !run.task.is_finished() || run.since.elapsed() < KEPT);
        if let Some(run) = runs.get(&id).filter(|run| run.at == at) {
            return run.answer.clone();
        }
        let (index, places) = (index.clone(), Arc::clone(&self.places));
        let task = tokio::spawn(async move {
            let _place = places.acquire_owned().await;
            digest::of(index, id).await
        });
        let run = Run {
            at,
            since: Instant::now(),
            task: task.abort_handle(),
            answer: async move {
                match task.await.map_err(NoAnswer::from) {
                    Ok(answer) => answer,
                    Err(NoAnswer::Panicked) => Err(NoAnswer::Panicked.into()),
                    // Only a run for a later change calls one off.
                    Err(NoAnswer::Stopped) => {
                        Err(Status::unavailable("the account changed under its digest"))
                    }
                }
            }
            .boxed()
            .shared(),
        };
        let answer = run.answer.clone();
        if let Some(older) = runs.insert(id, run) {
            older.task.abort();
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Position = Position {
        segment: 1,
        offset: 64,
    };

    #[tokio::test]
    async fn goes_on_while_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(folder.path(), None).unwrap();
        let digests = Digests::default();
        let id = AccountId::random();
        let ask = |patience| digests.of(&index, id, AT, patience);
        let places = Arc::clone(&digests.places);
        let full = places.acquire_many_owned(AT_ONCE as u32).await;
        assert!(matches!(ask(Duration::ZERO).await, Ok(None)));
        assert!(matches!(ask(Duration::ZERO).await, Ok(None)));
        assert_eq!(digests.runs.lock().len(), 1);
        drop(full);
        // There is no such account, and an error is not kept.
        let refused = ask(Duration::from_secs(20)).await.unwrap_err();
        assert!(refused.message().contains("gone"), "{refused}");
        assert!(digests.runs.lock().is_empty());
    }
}
