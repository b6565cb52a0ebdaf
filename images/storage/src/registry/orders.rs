//! Carries the directory's orders out and confirms them. One that fails waits and is tried again by
//! itself: it holds up no other, nor the watch.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kit::pause::Pauses;
use kit::rpc::DirectoryClient;
use tokio::time::{Instant, sleep_until};
use wire::ids::AccountId;
use wire::rpc::confirmation::What;
use wire::rpc::{ConfirmRequest, Confirmation};

use super::reconcile::{Order, Word};
use crate::index::IndexError;
use crate::shard::{Shard, Unready};

/// Orders carried out at a time: they share the heap's syncs.
const AT_ONCE: usize = 256;

/// Confirmations in one call.
const CONFIRM_BATCH: usize = 1000;

/// Between two attempts at what failed: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// The directory's orders.
pub(super) struct Orders {
    shard: Shard,
    directory: DirectoryClient,
    /// The last word on each account whose order failed.
    waiting: HashMap<AccountId, Word>,
    pauses: Pauses,
    again_at: Option<Instant>,
}

/// An order carried out, and what it confirms.
type Done = (Word, Option<Confirmation>);

impl Orders {
    pub(super) fn new(shard: Shard, directory: DirectoryClient) -> Self {
        Self {
            shard,
            directory,
            waiting: HashMap::new(),
            pauses: Pauses::new(PAUSES.0, PAUSES.1),
            again_at: None,
        }
    }

    /// As [`Self::carry_out`], for words on all accounts: nothing earlier is still to be done.
    pub(super) async fn replace(&mut self, words: HashMap<AccountId, Word>) {
        self.waiting.clear();
        self.carry_out(words).await;
    }

    /// Makes everything so, and confirms it.
    pub(super) async fn carry_out(&mut self, words: HashMap<AccountId, Word>) {
        // A later word takes the place of one that waits.
        self.waiting
            .retain(|account, _| !words.contains_key(account));
        self.try_all(words.into_values().collect()).await;
    }

    /// Returns when there is something to try again.
    pub(super) async fn due(&self) {
        match self.again_at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Tries again what failed.
    pub(super) async fn try_again(&mut self) {
        let words = std::mem::take(&mut self.waiting);
        self.try_all(words.into_values().collect()).await;
    }

    async fn try_all(&mut self, words: Vec<Word>) {
        let mut failed = Failed::default();
        let words = self.only_to_do(words, &mut failed).await;
        let done = self.make_so(words, &mut failed).await;
        self.confirm(done, &mut failed).await;
        self.wait_for(failed);
    }

    /// Those that ask for something, by a look at the index off the runtime's threads.
    async fn only_to_do(&self, words: Vec<Word>, failed: &mut Failed) -> Vec<Word> {
        let words: Arc<[Word]> = words.into();
        let (index, looked_at) = (self.shard.index().clone(), Arc::clone(&words));
        let look = move || {
            let asks = |word: &Word| {
                let held = index.account(word.account)?;
                Ok(word.order(held.as_ref()) != Order::Nothing)
            };
            looked_at
                .iter()
                .map(asks)
                .collect::<Vec<Result<bool, IndexError>>>()
        };
        let looked = match kit::task::blocking(look).await {
            Ok(looked) => looked,
            Err(no_answer) => {
                for word in words.iter() {
                    failed.add(word.clone(), Unready::from(no_answer));
                }
                return Vec::new();
            }
        };
        let mut to_do = Vec::new();
        for (word, asks) in words.iter().zip(looked) {
            match asks {
                Ok(true) => to_do.push(word.clone()),
                Ok(false) => {}
                Err(error) => failed.add(word.clone(), Unready::from(error)),
            }
        }
        to_do
    }

    async fn make_so(&self, words: Vec<Word>, failed: &mut Failed) -> Vec<Done> {
        let each = words.into_iter().map(|word| async move {
            let done = self.make_one_so(&word).await;
            (word, done)
        });
        let ended: Vec<_> = futures::stream::iter(each)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut done = Vec::with_capacity(ended.len());
        for (word, result) in ended {
            match result {
                Ok(confirmation) => done.push((word, confirmation)),
                Err(unready) => failed.add(word, unready),
            }
        }
        done
    }

    async fn confirm(&self, done: Vec<Done>, failed: &mut Failed) {
        let mut said: Vec<(Word, Confirmation)> = done
            .into_iter()
            .filter_map(|(word, confirmation)| Some((word, confirmation?)))
            .collect();
        while !said.is_empty() {
            let batch: Vec<_> = said.drain(..said.len().min(CONFIRM_BATCH)).collect();
            let request = ConfirmRequest {
                incarnation: self.shard.incarnation().0,
                confirmations: batch.iter().map(|(_, said)| said.clone()).collect(),
            };
            if let Err(status) = self.directory.registry().confirm(request).await {
                let why = Failure::Directory(status.message().to_owned());
                for (word, _) in batch {
                    failed.add(word, why.clone());
                }
            }
        }
    }

    fn wait_for(&mut self, failed: Failed) {
        let were_waiting = self.again_at.is_some();
        let Failed { words, reason } = failed;
        self.waiting.extend(words);
        let waiting = self.waiting.len();
        self.shard.metrics().orders_waiting.set(waiting as i64);
        match reason {
            Some(reason) => {
                if !were_waiting {
                    tracing::warn!(waiting, %reason, "orders of the directory wait; trying again");
                }
                self.again_at = Some(Instant::now() + self.pauses.after_failure());
            }
            None if waiting == 0 => {
                if were_waiting {
                    tracing::info!("no order of the directory waits any more");
                }
                self.pauses.reset();
                self.again_at = None;
            }
            None => {}
        }
    }

    async fn make_one_so(&self, word: &Word) -> Result<Option<Confirmation>, Unready> {
        let mut confirm: Option<What> = None;
        let mut fault = None;
        let decided = self
            .shard
            .change(word.account, |held| match word.order(held) {
                Order::Nothing => Ok(None),
                Order::Write(change, what) => {
                    confirm = what;
                    Ok(Some(change))
                }
                Order::Confirm(what) => {
                    confirm = Some(what);
                    Ok(None)
                }
                Order::Fault(text, what) => {
                    fault = Some(text);
                    confirm = what;
                    Ok(None)
                }
            });
        let decided: Result<(), Unready> = decided.await;
        decided?;
        if let Some(fault) = fault {
            self.shard.metrics().faults.inc();
            tracing::error!(account = %word.account, fault, "directory and shard disagree");
        }
        Ok(confirm.map(|what| Confirmation {
            account: word.account.to_field(),
            epoch: word.epoch.0,
            what: what.into(),
        }))
    }
}

/// Orders that failed, and why one of them did.
#[derive(Default)]
struct Failed {
    words: HashMap<AccountId, Word>,
    reason: Option<Failure>,
}

/// Why an order waits.
#[derive(Debug, Clone, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Unready(#[from] Unready),
    #[error("the directory did not record it: {0}")]
    Directory(String),
}

impl Failed {
    fn add(&mut self, word: Word, reason: impl Into<Failure>) {
        self.words.insert(word.account, word);
        self.reason = Some(reason.into());
    }
}
