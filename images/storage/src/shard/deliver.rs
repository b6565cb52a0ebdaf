//! Stores one message for one or several accounts: one record, one body, one sync.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::MutexGuard;
use tokio::time::{Instant, timeout_at};
use wire::ids::{AccountId, DeliveryId, Epoch};

use super::inner::{Inner, Receipt};
use super::slots::{Desk, Slot};
use super::{Passes, Refused, Shard, Unready, Why};
use crate::account::INBOX;
use crate::account::access::Intent;
use crate::metrics::OutcomeLabel;
use crate::records::{Entry, Message, Target};

/// One message that has come in whole.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The same id to the same account is stored once.
    pub id: DeliveryId,
    /// When MX accepted it, milliseconds since 1970.
    pub received_at_ms: i64,
    /// The body in pieces.
    pub body: Vec<Bytes>,
    /// See [`crate::records::body_sums`].
    pub body_sums: Vec<u64>,
    /// Each account once.
    pub targets: Vec<DeliverTo>,
}

/// One target of a delivery.
#[derive(Debug, Clone)]
pub struct DeliverTo {
    /// The account.
    pub account: AccountId,
    /// The epoch this delivery was routed by.
    pub epoch: Epoch,
    /// What differs by recipient: whole header lines.
    pub prefix: Bytes,
}

/// What became of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Durable.
    Stored(Place),
    /// It was durable before.
    Duplicate(Place),
    /// Not here.
    Unready(Unready),
}

/// Where a message is in its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// UIDVALIDITY of its mailbox.
    pub uid_validity: u32,
    /// Its UID.
    pub uid: u32,
}

impl Outcome {
    /// For logs and metrics.
    pub fn label(&self) -> OutcomeLabel {
        let (outcome, reason) = match self {
            Self::Stored(_) => ("stored", ""),
            Self::Duplicate(_) => ("duplicate", ""),
            Self::Unready(Unready::Moved(_)) => ("moved", ""),
            Self::Unready(Unready::Retry(why)) => match why.passes() {
                Passes::ByItself | Passes::OnceMended => ("retry", why.label()),
                Passes::Never => ("never", why.label()),
            },
        };
        OutcomeLabel { outcome, reason }
    }
}

/// What one look at the targets that are left came to.
struct Look {
    receipt: Option<Receipt>,
    /// Indexes of the targets that the receipt is for.
    stored: Vec<usize>,
    /// A target whose delivery of the same id is under way.
    twin: Option<Arc<Slot>>,
}

impl Shard {
    /// Stores a message; one outcome per target, in order, after the sync.
    pub async fn deliver(&self, delivery: &Delivery) -> Vec<Outcome> {
        let mut outcomes = match self.try_deliver(delivery).await {
            Ok(outcomes) => outcomes,
            Err(unready) => vec![Outcome::Unready(unready); delivery.targets.len()],
        };
        if let Err(not_held) = self.inner.lease.for_write().await {
            outcomes.fill(Outcome::Unready(not_held.into()));
        }
        for outcome in &outcomes {
            let deliveries = &self.inner.metrics.deliveries;
            deliveries.get_or_create(&outcome.label()).inc();
        }
        outcomes
    }

    async fn try_deliver(&self, delivery: &Delivery) -> Result<Vec<Outcome>, Unready> {
        let shard = &*self.inner;
        shard.lease.for_write().await?;
        if shard.is_nearly_full() {
            return Err(Why::NearlyFull.into());
        }
        let mut outcomes: Vec<Option<Outcome>> = vec![None; delivery.targets.len()];
        let mut left: Vec<usize> = (0..delivery.targets.len()).collect();
        left.sort_by_key(|at| delivery.targets[*at].account);
        let slots: Vec<Arc<Slot>> = delivery
            .targets
            .iter()
            .map(|target| shard.slots.get(target.account))
            .collect();
        let deadline = Instant::now() + shard.settings.patience;
        loop {
            let mut changes = shard.subscribe();
            let last_look = Instant::now() >= deadline;
            let look = shard.look(delivery, &slots, &left, &mut outcomes, last_look)?;
            if let Some(receipt) = look.receipt
                && let Err(unready) = shard.done(receipt).await
            {
                for at in &look.stored {
                    outcomes[*at] = Some(Outcome::Unready(unready.clone()));
                }
            }
            left.retain(|at| outcomes[*at].is_none());
            if left.is_empty() {
                let none = || Outcome::Unready(Why::Stopping.into());
                return Ok(outcomes
                    .into_iter()
                    .map(|it| it.unwrap_or_else(none))
                    .collect());
            }
            // Either wait may end early or late; the next look decides.
            match look.twin {
                Some(twin) => {
                    let gone = |desk: &Desk| !desk.in_flight.contains(&delivery.id);
                    let _ = timeout_at(deadline, twin.wait_until(gone)).await;
                }
                None => {
                    let _ = timeout_at(deadline, changes.changed()).await;
                }
            }
        }
    }
}

impl Inner {
    /// Looks at the targets that are left, all their desks locked in the order of ids; queues one
    /// record for those that are ready.
    fn look(
        &self,
        delivery: &Delivery,
        slots: &[Arc<Slot>],
        left: &[usize],
        outcomes: &mut [Option<Outcome>],
        last_look: bool,
    ) -> Result<Look, Unready> {
        let mut ready: Vec<(usize, MutexGuard<'_, Desk>)> = Vec::with_capacity(left.len());
        let mut twin = None;
        for &at in left {
            let slot = &slots[at];
            let desk = slot.desk(&self.index)?;
            let target = &delivery.targets[at];
            match self.access(slot.id, &desk, target.epoch, Intent::Write) {
                Err(Refused::Now(unready)) => outcomes[at] = Some(Outcome::Unready(unready)),
                Err(Refused::After(unready)) if last_look => {
                    outcomes[at] = Some(Outcome::Unready(unready));
                }
                Err(Refused::After(_)) => {}
                Ok(()) if desk.in_flight.contains(&delivery.id) => {
                    if last_look {
                        outcomes[at] = Some(Outcome::Unready(Why::BeingStored.into()));
                    }
                    twin.get_or_insert_with(|| Arc::clone(slot));
                }
                Ok(()) => match self.index.delivery(slot.id, delivery.id)? {
                    Some(row) => {
                        outcomes[at] = Some(Outcome::Duplicate(Place {
                            uid_validity: row.uid_validity,
                            uid: row.uid,
                        }));
                    }
                    None => ready.push((at, desk)),
                },
            }
        }
        let stored = ready.iter().map(|(at, _)| *at).collect();
        let receipt = match ready.is_empty() {
            true => None,
            false => Some(self.store(delivery, slots, ready, outcomes)?),
        };
        Ok(Look {
            receipt,
            stored,
            twin,
        })
    }

    fn store(
        &self,
        delivery: &Delivery,
        slots: &[Arc<Slot>],
        mut ready: Vec<(usize, MutexGuard<'_, Desk>)>,
        outcomes: &mut [Option<Outcome>],
    ) -> Result<Receipt, Unready> {
        let mut targets = Vec::with_capacity(ready.len());
        let mut prefixes = Vec::with_capacity(ready.len());
        for (at, desk) in &ready {
            let wanted = &delivery.targets[*at];
            let account = desk.account.as_ref().ok_or(Why::Missing)?;
            let inbox = account.mailboxes.get(&INBOX).ok_or(Why::NoInbox)?;
            let (uid, modseq) = account.next_message(INBOX).map_err(Why::Exhausted)?;
            outcomes[*at] = Some(Outcome::Stored(Place {
                uid_validity: inbox.uid_validity,
                uid,
            }));
            targets.push(Target {
                account: wanted.account,
                mailbox: INBOX,
                uid,
                modseq,
                prefix_length: u32::try_from(wanted.prefix.len()).unwrap_or(u32::MAX),
            });
            prefixes.push(wanted.prefix.clone());
        }
        let body_length: usize = delivery.body.iter().map(Bytes::len).sum();
        let entry = Entry::Message(Message {
            delivery: Some(delivery.id),
            received_at_ms: delivery.received_at_ms,
            stored_at_ms: kit::clock::unix_ms(),
            body_length: body_length as u64,
            body_sums: delivery.body_sums.clone(),
            targets,
        });
        let mut work: Vec<_> = ready
            .iter_mut()
            .map(|(at, desk)| (&slots[*at], &mut **desk))
            .collect();
        let receipt = self.queue(entry, &prefixes, &delivery.body, &mut work)?;
        for (_, desk) in work {
            desk.in_flight.insert(delivery.id);
        }
        self.metrics.body_octets.inc_by(body_length as u64);
        Ok(receipt)
    }
}
