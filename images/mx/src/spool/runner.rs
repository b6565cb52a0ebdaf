//! Delivers what is due: one queue per shard, some at once each, and a slow shard holds up no
//! other.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kit::lifecycle::Shutdown;
use tokio::task::{self, JoinSet};
use wire::ids::{Epoch, ShardName};

use crate::spool::body::{Body, BodyError};
use crate::spool::queue::{Entry, Event, Retry, Target};
use crate::spool::schedule::Schedule;
use crate::spool::store::Spool;

/// Longest error text that is kept.
const MAX_ERROR: usize = 500;

/// A clock that was set does not make the runner sleep through what is due: it looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What brings a message to where its accounts are now; MX implements it.
pub trait Deliverer: Send + Sync + 'static {
    /// Tries to deliver, and says for each of `job.targets`, in order, how that went.
    fn deliver(&self, job: Job) -> impl Future<Output = Vec<Outcome>> + Send;
}

/// A message and those of its targets that are due.
#[derive(Clone)]
pub struct Job {
    /// The message.
    pub entry: Entry,
    /// Whose turn it is; all in one shard's queue.
    pub targets: Vec<Target>,
    /// The message's body, verified.
    pub body: Body,
}

/// How an attempt went for one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The account has it, durably; perhaps it had it before.
    Done,
    /// Not now, for this reason.
    Retry(String),
    /// The account is elsewhere now.
    Moved {
        /// Where.
        shard: ShardName,
        /// By which epoch.
        epoch: Epoch,
    },
    /// Never, for this reason: the account was removed.
    Dead(String),
}

impl Outcome {
    /// What is to be recorded. An account that moved is tried at once; if it moves again, with
    /// delay. What is too old becomes a dead letter.
    pub(super) fn event(
        self,
        entry: &Entry,
        target: &Target,
        schedule: &Schedule,
        now_ms: i64,
        chance: f64,
    ) -> Event {
        let attempts = target.attempts.saturating_add(1);
        let later = schedule.next_attempt(attempts, now_ms, chance);
        let (last_error, shard, epoch, next_attempt_ms) = match self {
            Self::Done => return Event::Done(entry.id, target.index),
            Self::Dead(reason) => return Event::Dead(entry.id, target.index, shortened(reason)),
            Self::Retry(error) => (error, target.shard.clone(), target.epoch, later),
            Self::Moved { shard, epoch } => {
                let text = format!("moved to {shard}, epoch {epoch}");
                let next = if epoch > target.epoch { now_ms } else { later };
                (text, shard, epoch, next)
            }
        };
        if schedule.expired(entry.received_at_ms, now_ms) {
            let reason = format!("given up after {attempts} attempts: {last_error}");
            return Event::Dead(entry.id, target.index, shortened(reason));
        }
        Event::Retry(Retry {
            entry: entry.id,
            target: target.index,
            attempts,
            last_error: shortened(last_error),
            next_attempt_ms,
            shard,
            epoch,
        })
    }
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_ERROR));
    text
}

/// Delivers until the process is to stop; then lets what is under way finish.
pub async fn run<D: Deliverer>(spool: Spool, deliverer: Arc<D>, shutdown: Shutdown) {
    let _guard = shutdown.guard("spool");
    let reclaiming = tokio::spawn(reclaim_forever(spool.clone()));
    let mut runner = Runner {
        spool,
        deliverer,
        running: JoinSet::new(),
        busy: HashMap::new(),
    };
    runner.work(&shutdown).await;
    reclaiming.abort();
    while let Some(ended) = runner.running.join_next_with_id().await {
        runner.ended(ended);
    }
}

struct Runner<D> {
    spool: Spool,
    deliverer: Arc<D>,
    running: JoinSet<()>,
    /// Which shard each delivery under way is for.
    busy: HashMap<task::Id, ShardName>,
}

impl<D: Deliverer> Runner<D> {
    async fn work(&mut self, shutdown: &Shutdown) {
        loop {
            let wait = self.start_due();
            let spool = self.spool.clone();
            tokio::select! {
                () = shutdown.closing() => return,
                () = spool.changed() => {}
                () = spool.clock().sleep(wait) => {}
                Some(ended) = self.running.join_next_with_id() => self.ended(ended),
            }
        }
    }

    /// Starts what is due and may run; gives how long until more is due.
    fn start_due(&mut self) -> Duration {
        for (shard, _) in self.spool.due() {
            while self.has_room(&shard) && self.start(&shard) {}
        }
        let now = self.spool.clock().now();
        let rest = self.spool.due().into_iter();
        // A shard without room is looked at again when one of its deliveries ends.
        rest.filter(|(shard, _)| self.has_room(shard))
            .map(|(_, due)| Duration::from_millis(due.saturating_sub(now).max(0) as u64))
            .fold(LOOK_AGAIN, Duration::min)
    }

    fn has_room(&self, shard: &ShardName) -> bool {
        let busy = self.busy.values().filter(|other| *other == shard).count();
        busy < self.spool.config().concurrency.max(1)
    }

    /// Starts one delivery; false if nothing is due.
    fn start(&mut self, shard: &ShardName) -> bool {
        let Some((entry, due)) = self.spool.take_due(shard) else {
            return false;
        };
        let targets = entry.targets.iter().filter(|t| due.contains(&t.index));
        let job = Job {
            targets: targets.cloned().collect(),
            body: self.spool.body(&entry),
            entry,
        };
        let (spool, deliverer) = (self.spool.clone(), Arc::clone(&self.deliverer));
        let task = self.running.spawn(async move {
            let attempt = Attempt::new(spool.clone(), &job);
            let outcomes = attempt_delivery(&spool, &*deliverer, job).await;
            attempt.settle(outcomes);
        });
        self.busy.insert(task.id(), shard.clone());
        true
    }

    fn ended(&mut self, ended: Result<(task::Id, ()), task::JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                tracing::error!(%error, "a delivery from the spool broke");
                error.id()
            }
        };
        self.busy.remove(&id);
    }
}

/// The targets of an attempt; whatever happens to the task, they are settled.
struct Attempt {
    spool: Spool,
    entry: Entry,
    open: Vec<u32>,
}

impl Attempt {
    fn new(spool: Spool, job: &Job) -> Self {
        Self {
            spool,
            entry: job.entry.clone(),
            open: job.targets.iter().map(|target| target.index).collect(),
        }
    }

    fn settle(mut self, outcomes: Vec<Outcome>) {
        let mut outcomes = outcomes.into_iter();
        for index in std::mem::take(&mut self.open) {
            let missing = || Outcome::Retry("the delivery gave no outcome".to_owned());
            let outcome = outcomes.next().unwrap_or_else(missing);
            self.spool.settle(&self.entry, index, outcome);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        for index in std::mem::take(&mut self.open) {
            let outcome = Outcome::Retry("the delivery was broken off".to_owned());
            self.spool.settle(&self.entry, index, outcome);
        }
    }
}

async fn attempt_delivery<D: Deliverer>(spool: &Spool, deliverer: &D, job: Job) -> Vec<Outcome> {
    let all = |outcome: Outcome, job: &Job| vec![outcome; job.targets.len()];
    match job.body.verify().await {
        Ok(()) => {}
        Err(BodyError::Read(error @ log::ReadError::Corrupt { .. })) => {
            tracing::error!(entry = %job.entry.id, %error, "a spooled message is damaged");
            return all(Outcome::Dead(error.to_string()), &job);
        }
        Err(error) => return all(Outcome::Retry(error.to_string()), &job),
    }
    let timeout = Duration::from_millis(spool.config().attempt_timeout_ms);
    match tokio::time::timeout(timeout, deliverer.deliver(job.clone())).await {
        Ok(outcomes) => outcomes,
        Err(_) => all(
            Outcome::Retry("the delivery took too long".to_owned()),
            &job,
        ),
    }
}

/// Gives back the space of what was delivered, now and then, and when there is too little.
async fn reclaim_forever(spool: Spool) {
    loop {
        tokio::select! {
            () = spool.clock().sleep(LOOK_AGAIN) => {}
            () = spool.short_of_space() => {}
        }
        if let Err(error) = spool.reclaim().await {
            tracing::warn!(%error, "the spool's space was not given back");
        }
    }
}
