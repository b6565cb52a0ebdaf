//! After the final dot: every copy to its shard, or else to the spool.

use std::net::SocketAddr;

use bytes::Bytes;
use futures::TryStreamExt as _;
use tokio::time::Instant;
use wire::ids::DeliveryId;

use crate::body::Body;
use crate::deliver::{Copies, Copy, Fate, Parcel};
use crate::server::Server;
use crate::session::{Delivered, Protocol, Transaction};
use crate::spool::{NewEntry, NewTarget};

/// A message whose body is whole.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) peer: SocketAddr,
    pub(crate) protocol: Protocol,
    /// Octets as received.
    pub(crate) size: u64,
    pub(crate) transaction: Transaction,
    pub(crate) delivery: DeliveryId,
    pub(crate) message_id: Option<String>,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// One per recipient, in order.
    pub(crate) delivered: Vec<Delivered>,
    pub(crate) copies: Copies,
    /// One per copy, in order.
    pub(crate) fates: Vec<Fate>,
    pub(crate) took: std::time::Duration,
}

impl Server {
    /// Brings a message to every owner. SMTP: what is slow or away goes to the spool, and what was
    /// for a removed account is a dead letter there. LMTP: never by the spool, each recipient has
    /// its own answer.
    pub(crate) async fn deliver(&self, message: &Message, body: Body) -> Outcome {
        let started = Instant::now();
        let copies = Copies::of(&message.transaction);
        let parcel = Parcel {
            transaction: message.transaction.id.to_string(),
            delivery: message.delivery,
            received_at_ms: kit::clock::unix_ms(),
            body,
        };
        let patience = match message.protocol {
            Protocol::Smtp => self.timeouts.spool_after,
            Protocol::Lmtp => self.timeouts.lmtp_answer,
        };
        let fates = self.attempt(&parcel, &copies.all, started + patience).await;
        let queued = match message.protocol {
            Protocol::Smtp => self.spool_rest(message, &parcel, &copies.all, &fates).await,
            Protocol::Lmtp => vec![false; fates.len()],
        };
        let delivered = copies.delivered(&fates, &queued);
        Outcome {
            delivered,
            copies,
            fates,
            took: started.elapsed(),
        }
    }

    /// Spools what no shard has, all in one entry; says which copies are durable there. What was
    /// for a removed account goes too: the spool finds it gone again and keeps it as a dead letter.
    async fn spool_rest(
        &self,
        message: &Message,
        parcel: &Parcel,
        copies: &[Copy],
        fates: &[Fate],
    ) -> Vec<bool> {
        let open = |fate: &Fate| matches!(fate, Fate::Pending(_) | Fate::Gone);
        let rest = copies.iter().zip(fates).filter(|(_, fate)| open(fate));
        let targets: Vec<_> = rest.map(|(copy, _)| new_target(copy)).collect();
        if targets.is_empty() {
            return vec![false; fates.len()];
        }
        let accepted = match parcel.body.parts().try_collect().await {
            Ok(body) => {
                self.spool
                    .accept(new_entry(message, parcel, body, targets))
                    .await
            }
            Err(error) => {
                tracing::warn!(transaction = parcel.transaction, %error, "a body cannot be read back");
                return vec![false; fates.len()];
            }
        };
        if let Err(error) = &accepted {
            tracing::warn!(transaction = parcel.transaction, %error, "not spooled");
        }
        fates
            .iter()
            .map(|fate| accepted.is_ok() && open(fate))
            .collect()
    }

    /// Copies whose route is only remembered are not tried: nobody answers who could correct it.
    async fn attempt(&self, parcel: &Parcel, copies: &[Copy], deadline: Instant) -> Vec<Fate> {
        if !copies.iter().any(|copy| copy.target.stale) {
            return self.courier.deliver(parcel, copies, deadline).await;
        }
        let fresh: Vec<Copy> = copies
            .iter()
            .filter(|copy| !copy.target.stale)
            .cloned()
            .collect();
        let mut tried = self
            .courier
            .deliver(parcel, &fresh, deadline)
            .await
            .into_iter();
        let mut fate = |copy: &Copy| {
            let untried = || Fate::Pending("no directory replica answers".into());
            if copy.target.stale {
                untried()
            } else {
                tried.next().unwrap_or_else(untried)
            }
        };
        copies.iter().map(&mut fate).collect()
    }
}

fn new_entry(
    message: &Message,
    parcel: &Parcel,
    body: Vec<Bytes>,
    targets: Vec<NewTarget>,
) -> NewEntry {
    NewEntry {
        transaction_id: message.transaction.id.clone(),
        delivery_id: parcel.delivery,
        reverse_path: message.transaction.from.to_string(),
        received_at_ms: parcel.received_at_ms,
        body,
        targets,
    }
}

fn new_target(copy: &Copy) -> NewTarget {
    NewTarget {
        account: copy.target.account,
        epoch: copy.target.epoch,
        shard: copy.target.shard.clone(),
        prefix: copy.prefix.clone(),
        recipient: copy.target.address.clone(),
    }
}
