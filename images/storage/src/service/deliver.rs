//! Takes one delivery's parts in, bounded, and stores it at the commit.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tonic::{Status, Streaming};
use wire::ids::{AccountId, DeliveryId, Epoch};
use wire::rpc::deliver_outcome::Outcome as WireOutcome;
use wire::rpc::deliver_part::Part;
use wire::rpc::{DeliverCommit, DeliverHeader, DeliverOutcome, DeliverPart, DeliverReply, Stored};

use super::Limits;
use crate::metrics::OutcomeLabel;
use crate::records::BodySums;
use crate::shard::deliver::{DeliverTo, Delivery, Outcome, Place};
use crate::shard::{Passes, Shard, Unready, Why};

/// Largest chunk of a body.
const MAX_CHUNK: usize = 256 << 10;

/// Most targets of one delivery.
const MAX_TARGETS: usize = 1000;

/// Octets of all prefixes together: a generous 1 KiB per target.
const MAX_PREFIXES: usize = MAX_TARGETS << 10;

pub(super) struct Intake<'a> {
    memory: &'a Arc<Semaphore>,
    limits: &'a Limits,
}

/// A delivery whose header has come.
struct Open {
    header: DeliverHeader,
    targets: Vec<DeliverTo>,
    body: Vec<Bytes>,
    length: u64,
    sums: BodySums,
    /// The memory that the body takes.
    _memory: OwnedSemaphorePermit,
}

impl<'a> Intake<'a> {
    pub(super) fn new(memory: &'a Arc<Semaphore>, limits: &'a Limits) -> Self {
        Self { memory, limits }
    }

    pub(super) async fn deliver(
        &self,
        shard: &Shard,
        mut parts: Streaming<DeliverPart>,
    ) -> Result<DeliverReply, Status> {
        let Some(Part::Header(header)) = self.next(&mut parts).await? else {
            return Err(Status::invalid_argument(
                "a delivery begins with its header",
            ));
        };
        let targets = read_targets(&header)?;
        let Some(memory) = self.memory(&header).await? else {
            let unready = Unready::Retry(Why::TooManyDeliveries);
            return Ok(reply(
                &targets,
                vec![Outcome::Unready(unready); targets.len()],
            ));
        };
        let mut open = Open {
            header,
            targets,
            body: Vec::new(),
            length: 0,
            sums: BodySums::default(),
            _memory: memory,
        };
        loop {
            match self.next(&mut parts).await? {
                Some(Part::Chunk(chunk)) => open.take(chunk)?,
                Some(Part::Commit(commit)) => return open.commit(shard, &commit).await,
                Some(Part::Header(_)) => {
                    return Err(Status::invalid_argument("a delivery has one header"));
                }
                None => return Err(Status::aborted("the delivery ended without a commit")),
            }
        }
    }

    async fn next(&self, parts: &mut Streaming<DeliverPart>) -> Result<Option<Part>, Status> {
        let part = timeout(self.limits.part_patience, parts.message()).await;
        match part {
            Ok(part) => Ok(part?.and_then(|part| part.part)),
            Err(_) => Err(Status::deadline_exceeded("the sender paused for too long")),
        }
    }

    /// Memory for the body; `None` when there is too little for too long.
    async fn memory(&self, header: &DeliverHeader) -> Result<Option<OwnedSemaphorePermit>, Status> {
        let max = self.limits.max_body.min(self.limits.body_memory);
        if header.size > max {
            let text = format!("a body of {} octets is larger than {max}", header.size);
            return Err(Status::invalid_argument(text));
        }
        let kib = u32::try_from(header.size.div_ceil(1024)).unwrap_or(u32::MAX);
        let permit = Arc::clone(self.memory).acquire_many_owned(kib);
        match timeout(self.limits.memory_patience, permit).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            _ => Ok(None),
        }
    }
}

impl Open {
    fn take(&mut self, chunk: Bytes) -> Result<(), Status> {
        if chunk.len() > MAX_CHUNK {
            let text = format!(
                "a chunk of {} octets is larger than {MAX_CHUNK}",
                chunk.len()
            );
            return Err(Status::invalid_argument(text));
        }
        self.length += chunk.len() as u64;
        if self.length > self.header.size {
            return Err(Status::invalid_argument(
                "the body is larger than its header says",
            ));
        }
        self.sums.add(&chunk);
        if !chunk.is_empty() {
            self.body.push(chunk);
        }
        Ok(())
    }

    async fn commit(self, shard: &Shard, commit: &DeliverCommit) -> Result<DeliverReply, Status> {
        if self.length != self.header.size {
            return Err(Status::invalid_argument(
                "the body is smaller than its header says",
            ));
        }
        let id = DeliveryId::from_slice(&commit.delivery_id);
        let id = id.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let delivery = Delivery {
            id,
            received_at_ms: commit.received_at_ms,
            body: self.body,
            body_sums: self.sums.finish(),
            targets: self.targets,
        };
        let outcomes = shard.deliver(&delivery).await;
        for (target, outcome) in delivery.targets.iter().zip(&outcomes) {
            let OutcomeLabel { outcome, reason } = outcome.label();
            tracing::debug!(
                transaction = self.header.transaction_id, delivery = %id,
                account = %target.account, size = self.length, outcome, reason,
                "a delivery"
            );
        }
        Ok(reply(&delivery.targets, outcomes))
    }
}

fn read_targets(header: &DeliverHeader) -> Result<Vec<DeliverTo>, Status> {
    if header.targets.is_empty() || header.targets.len() > MAX_TARGETS {
        let count = header.targets.len();
        let text = format!("{count} targets: a delivery has 1 to {MAX_TARGETS}");
        return Err(Status::invalid_argument(text));
    }
    let prefixes: usize = header
        .targets
        .iter()
        .map(|target| target.prefix.len())
        .sum();
    if prefixes > MAX_PREFIXES {
        return Err(Status::invalid_argument("the prefixes are too large"));
    }
    let mut seen = HashSet::with_capacity(header.targets.len());
    let read = |target: &wire::rpc::DeliverTarget| {
        let account = AccountId::from_slice(&target.account)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        if !seen.insert(account) {
            let text = format!("account {account} is a target twice");
            return Err(Status::invalid_argument(text));
        }
        Ok(DeliverTo {
            account,
            epoch: Epoch(target.epoch),
            prefix: target.prefix.clone(),
        })
    };
    header.targets.iter().map(read).collect()
}

fn reply(targets: &[DeliverTo], outcomes: Vec<Outcome>) -> DeliverReply {
    let stored = |place: Place| Stored {
        uid_validity: place.uid_validity,
        uid: place.uid,
    };
    let outcome = |(target, outcome): (&DeliverTo, Outcome)| DeliverOutcome {
        account: target.account.to_field(),
        outcome: Some(match outcome {
            Outcome::Stored(place) => WireOutcome::Stored(stored(place)),
            Outcome::Duplicate(place) => WireOutcome::Duplicate(stored(place)),
            Outcome::Unready(Unready::Moved(epoch)) => WireOutcome::Moved(epoch.0),
            Outcome::Unready(Unready::Retry(why)) => match why.passes() {
                Passes::ByItself | Passes::OnceMended => WireOutcome::Retry(why.to_string()),
                Passes::Never => WireOutcome::Never(why.to_string()),
            },
        }),
    };
    DeliverReply {
        outcomes: targets.iter().zip(outcomes).map(outcome).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_passes_is_said_to_be_so() {
        let targets = [DeliverTo {
            account: AccountId::from_bytes([1; 16]),
            epoch: Epoch(1),
            prefix: Bytes::new(),
        }];
        let said = |why| {
            let outcome = Outcome::Unready(Unready::Retry(why));
            reply(&targets, vec![outcome]).outcomes.remove(0).outcome
        };
        assert!(matches!(said(Why::Full), Some(WireOutcome::Retry(_))));
        assert!(matches!(said(Why::Missing), Some(WireOutcome::Retry(_))));
        assert!(matches!(
            said(Why::TooLarge(9)),
            Some(WireOutcome::Never(_))
        ));
    }
}
