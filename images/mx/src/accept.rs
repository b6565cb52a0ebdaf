//! After the final dot: every copy to its shard, or else to the spool.

use std::net::SocketAddr;

use tokio::time::Instant;
use wire::ids::DeliveryId;

use crate::body::Body;
use crate::deliver::{Copies, Copy, Fate, Parcel};
use crate::server::Server;
use crate::session::{Delivered, Protocol, Transaction};

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
            transaction: message.transaction.id.clone(),
            delivery: message.delivery,
            received_at_ms: kit::clock::unix_ms(),
            body,
        };
        let patience = match message.protocol {
            Protocol::Smtp => self.timeouts.spool_after,
            Protocol::Lmtp => self.timeouts.lmtp_answer,
        };
        let fates = self.attempt(&parcel, &copies.all, started + patience).await;
        let queued = vec![false; fates.len()];
        let delivered = copies.delivered(&fates, &queued);
        Outcome {
            delivered,
            copies,
            fates,
            took: started.elapsed(),
        }
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
