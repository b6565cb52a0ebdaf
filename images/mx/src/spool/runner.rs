//! Delivers what is due: one queue per shard, some at once each, and a slow shard holds up no
//! other. The queue of a shard that does not answer is probed with one message at a time.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kit::lifecycle::Shutdown;
use tokio::task::{self, JoinSet};
use tokio_util::task::AbortOnDropHandle;
use wire::ids::ShardName;

use crate::spool::body::{Body, BodyError};
use crate::spool::house;
use crate::spool::outcome::Outcome;
use crate::spool::queue::{Entry, EntryId, Round, Target};
use crate::spool::store::{Spool, Taken};

/// A clock that was set does not make the runner sleep through what is due: it looks again.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(60);

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

/// Delivers until the process is to stop; then lets what is under way finish.
pub async fn run<D: Deliverer>(spool: Spool, deliverer: Arc<D>, shutdown: Shutdown) {
    let house = AbortOnDropHandle::new(tokio::spawn(house::keep(spool.clone())));
    let mut runner = Runner {
        spool,
        deliverer,
        running: JoinSet::new(),
        busy: HashMap::new(),
    };
    runner.work(&shutdown).await;
    drop(house);
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
        let most = match self.spool.is_probed(shard) {
            true => 1,
            false => self.spool.config().concurrency.max(1),
        };
        busy < most
    }

    /// Starts one delivery; false if nothing is due.
    fn start(&mut self, shard: &ShardName) -> bool {
        let Some(taken) = self.spool.take_due(shard) else {
            return false;
        };
        let attempt = Attempt::new(self.spool.clone(), shard.clone(), &taken);
        let Taken { entry, targets, .. } = taken;
        let due = entry.targets.iter().filter(|t| targets.contains(&t.index));
        let job = Job {
            targets: due.cloned().collect(),
            body: self.spool.body(&entry),
            entry,
        };
        let (spool, deliverer) = (self.spool.clone(), Arc::clone(&self.deliverer));
        let task = self.running.spawn(async move {
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
    shard: ShardName,
    round: Round,
    entry: EntryId,
    open: Vec<u32>,
}

impl Attempt {
    fn new(spool: Spool, shard: ShardName, taken: &Taken) -> Self {
        Self {
            spool,
            shard,
            round: taken.round,
            entry: taken.entry.id,
            open: taken.targets.clone(),
        }
    }

    fn settle(mut self, outcomes: Vec<Outcome>) {
        let missing = || Outcome::Retry("the delivery gave no outcome".to_owned());
        let outcomes = outcomes.into_iter().chain(std::iter::repeat_with(missing));
        let open = std::mem::take(&mut self.open);
        self.record(open.into_iter().zip(outcomes).collect());
    }

    fn record(&self, outcomes: Vec<(u32, Outcome)>) {
        let shard = (&self.shard, self.round);
        self.spool.settle(self.entry, shard, outcomes);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let broken = |index| {
            let outcome = Outcome::Retry("the delivery was broken off".to_owned());
            (index, outcome)
        };
        let open = std::mem::take(&mut self.open);
        if !open.is_empty() {
            self.record(open.into_iter().map(broken).collect());
        }
    }
}

async fn attempt_delivery<D: Deliverer>(spool: &Spool, deliverer: &D, job: Job) -> Vec<Outcome> {
    let all = |outcome: Outcome, job: &Job| vec![outcome; job.targets.len()];
    match job.body.verify().await {
        Ok(()) => {}
        Err(BodyError::Read(error @ segments::ReadError::Corrupt { .. })) => {
            tracing::error!(entry = %job.entry.id, %error, "a spooled message is damaged");
            return all(Outcome::Dead(error.to_string()), &job);
        }
        Err(error) => return all(Outcome::Retry(error.to_string()), &job),
    }
    let timeout = spool.config().attempt_timeout;
    match tokio::time::timeout(timeout, deliverer.deliver(job.clone())).await {
        Ok(outcomes) => outcomes,
        Err(_) => all(
            Outcome::Retry("the delivery took too long".to_owned()),
            &job,
        ),
    }
}
