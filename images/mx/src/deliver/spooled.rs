//! What the spool hands back, brought to where its accounts are now.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kit::telemetry::Outcome as Logged;
use wire::ids::DeliveryId;

use super::{Copy, Courier, Fate, Parcel};
use crate::body::Body;
use crate::recipients::{Located, Recipients};
use crate::session;
use crate::spool::{Deliverer, Job, NoAnswer, Outcome, Target};

/// The courier as the spool uses it.
pub struct SpoolCourier {
    recipients: Arc<Recipients>,
    courier: Courier,
    /// For one attempt; below the spool's own limit, so that its answer is known.
    patience: Duration,
}

impl SpoolCourier {
    /// Brings what is spooled with this courier.
    pub fn new(recipients: Arc<Recipients>, courier: Courier, patience: Duration) -> Self {
        Self {
            recipients,
            courier,
            patience,
        }
    }

    /// Asks only where the accounts are now: aliases were expanded when the message came.
    async fn locate(&self, targets: &[Target]) -> Vec<Located> {
        let asked: Vec<_> = targets
            .iter()
            .map(|target| (target.account, target.epoch))
            .collect();
        self.recipients.locate(&asked).await
    }
}

impl Deliverer for SpoolCourier {
    async fn deliver(&self, job: Job) -> Vec<Outcome> {
        let started = Instant::now();
        let parcel = Parcel {
            transaction: job.entry.transaction_id.clone(),
            delivery: job.entry.delivery_id,
            received_at_ms: job.entry.received_at_ms,
            body: Body::spooled(job.body.clone()),
        };
        let located = self.locate(&job.targets).await;
        let decided: Vec<_> = job.targets.iter().zip(located).map(decide).collect();
        let copies: Vec<Copy> = decided
            .iter()
            .filter_map(|it| it.as_ref().ok().cloned())
            .collect();
        let deadline = tokio::time::Instant::now() + self.patience;
        let mut fates = self
            .courier
            .deliver(&parcel, &copies, deadline)
            .await
            .into_iter();
        let mut outcomes = Vec::with_capacity(job.targets.len());
        for (target, decided) in job.targets.iter().zip(decided) {
            let outcome = match decided {
                Err(outcome) => outcome,
                Ok(copy) => match fates.next() {
                    Some(fate) => settled(&job, target, &copy, fate, started.elapsed()),
                    None => Outcome::Retry("not tried".into()),
                },
            };
            outcomes.push(outcome);
        }
        outcomes
    }
}

/// A copy to be delivered, or what is known without trying. An account of another shard waits in
/// that shard's queue.
fn decide((target, located): (&Target, Located)) -> Result<Copy, Outcome> {
    match located {
        Located::At(found) if found.shard == target.shard => Ok(Copy {
            target: found,
            prefix: target.prefix.clone(),
        }),
        Located::At(session::Target { shard, epoch, .. }) => Err(Outcome::Moved { shard, epoch }),
        Located::Gone => Err(Outcome::Dead(REMOVED.into())),
        Located::Unsure => Err(Outcome::Retry(
            "the directory cannot say where it is".into(),
        )),
        Located::Unasked => {
            let reason = "no directory replica answers".into();
            Err(Outcome::Away(NoAnswer::Late, reason))
        }
    }
}

const REMOVED: &str = "the account is removed";

fn settled(job: &Job, target: &Target, copy: &Copy, fate: Fate, took: Duration) -> Outcome {
    match fate {
        Fate::Stored(place) => {
            log(
                job,
                target,
                (copy, place.uid),
                "delivered from the spool",
                took,
            );
            Outcome::Done
        }
        Fate::Duplicate(place) => {
            log(
                job,
                target,
                (copy, place.uid),
                "duplicate from the spool",
                took,
            );
            Outcome::Done
        }
        Fate::Gone => Outcome::Dead(REMOVED.into()),
        Fate::Never(reason) => Outcome::Dead(reason),
        Fate::Pending(reason) => Outcome::Retry(reason),
        Fate::Away { shard, how, reason } if shard == target.shard => Outcome::Away(how, reason),
        // It moved while we tried; its new shard has a queue of its own.
        Fate::Away { reason, .. } => Outcome::Retry(reason),
    }
}

fn log(job: &Job, target: &Target, (copy, uid): (&Copy, u32), reply: &str, took: Duration) {
    let delivery: DeliveryId = job.entry.delivery_id;
    Logged {
        transaction: &job.entry.transaction_id,
        delivery: Some(delivery),
        client: None,
        from: &job.entry.reverse_path,
        recipient: &target.recipient,
        size: Some(job.entry.body.length),
        message_id: None,
        account: Some(target.account),
        shard: Some(&copy.target.shard),
        uid: Some(uid),
        reply,
        took,
    }
    .log();
}
