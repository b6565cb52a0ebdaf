//! Carries the directory's orders out and confirms them: debts, then words. One that fails waits and
//! is tried again by itself: it holds up no other account's, nor the watch.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kit::pause::Pauses;
use kit::rpc::DirectoryClient;
use tokio::time::{Instant, sleep_until};
use wire::rpc::{self, ConfirmRequest, Confirmation};

use super::debts::Debt;
use super::news::News;
use super::obey::{obey, pay};
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
    /// The last word on each account whose order failed, and the debts that could not be paid.
    waiting: News,
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
            waiting: News::default(),
            pauses: Pauses::new(PAUSES.0, PAUSES.1),
            again_at: None,
        }
    }

    /// As [`Self::carry_out`], for news of all accounts: nothing earlier is still to be done.
    pub(super) async fn replace(&mut self, news: News) {
        self.waiting = News::default();
        self.carry_out(news).await;
    }

    /// Makes everything so, and confirms it.
    pub(super) async fn carry_out(&mut self, mut news: News) {
        news.supersede(&mut self.waiting);
        self.try_all(news).await;
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
        let news = std::mem::take(&mut self.waiting);
        self.try_all(news).await;
    }

    /// What is owed of an account is paid before anything else is done with it.
    async fn try_all(&mut self, news: News) {
        let mut failed = Failed::default();
        let paid = self.pay(news.debts.into_values(), &mut failed).await;
        let words = failed.hold_back(news.words.into_values());
        self.tell_paid(paid, &mut failed).await;
        let words = self.only_to_do(words, &mut failed).await;
        let done = self.make_so(words, &mut failed).await;
        self.confirm(done, &mut failed).await;
        self.wait_for(failed);
    }

    /// Those that are paid, and how that is told.
    async fn pay(
        &self,
        debts: impl Iterator<Item = Debt>,
        failed: &mut Failed,
    ) -> Vec<(Debt, rpc::Debt)> {
        let each = debts.map(|debt| async move { (debt, pay(&self.shard, debt).await) });
        let ended: Vec<_> = futures::stream::iter(each)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut paid = Vec::new();
        for (debt, result) in ended {
            match result {
                Ok(told) => paid.extend(told.map(|told| (debt, told))),
                Err(unready) => failed.add_debt(debt, unready),
            }
        }
        paid
    }

    async fn tell_paid(&self, paid: Vec<(Debt, rpc::Debt)>, failed: &mut Failed) {
        for batch in paid.chunks(CONFIRM_BATCH) {
            let told = batch.iter().map(|(_, told)| told.clone()).collect();
            if let Err(why) = self.tell(Vec::new(), told).await {
                for (debt, _) in batch {
                    failed.add_debt(*debt, why.clone());
                }
            }
        }
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
            let done = obey(&self.shard, &word).await;
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
            let told = batch.iter().map(|(_, said)| said.clone()).collect();
            if let Err(why) = self.tell(told, Vec::new()).await {
                for (word, _) in batch {
                    failed.add(word, why.clone());
                }
            }
        }
    }

    async fn tell(
        &self,
        confirmations: Vec<Confirmation>,
        paid: Vec<rpc::Debt>,
    ) -> Result<(), Failure> {
        let request = ConfirmRequest {
            incarnation: self.shard.incarnation().0,
            confirmations,
            paid,
        };
        match self.directory.registry().confirm(request).await {
            Ok(_) => Ok(()),
            Err(status) => Err(Failure::Directory(status.message().to_owned())),
        }
    }

    fn wait_for(&mut self, failed: Failed) {
        let were_waiting = self.again_at.is_some();
        let Failed { news, reason } = failed;
        self.waiting.extend(news);
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
}

/// Orders that failed, and why one of them did.
#[derive(Default)]
struct Failed {
    news: News,
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
        self.news.words.insert(word.account, word);
        self.reason = Some(reason.into());
    }

    fn add_debt(&mut self, debt: Debt, reason: impl Into<Failure>) {
        self.news.debts.insert(debt.account, debt);
        self.reason = Some(reason.into());
    }

    /// Lets the words wait on accounts whose debts are unpaid, and returns the others.
    fn hold_back(&mut self, words: impl Iterator<Item = Word>) -> Vec<Word> {
        let News { words: held, debts } = &mut self.news;
        let (wait, go): (Vec<Word>, _) = words.partition(|word| debts.contains_key(&word.account));
        held.extend(wait.into_iter().map(|word| (word.account, word)));
        go
    }
}
