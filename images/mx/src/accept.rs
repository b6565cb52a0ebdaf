//! After the final dot: every copy to its shard, or else to the spool.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use segments::LogError;
use tokio::time::{Instant, timeout_at};
use wire::ids::DeliveryId;

use crate::body::Body;
use crate::config::ANSWER;
use crate::deliver::{Copies, Copy, Fate, Parcel};
use crate::session::{Delivered, Protocol, Transaction};
use crate::shared::Server;
use crate::spool::{AcceptError, NewEntry, NewTarget};

mod attempt;

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
    pub(crate) took: Duration,
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
        let deadline = started + patience;
        let fates = self
            .attempt(message.protocol, &parcel, &copies.all, deadline)
            .await;
        let rest = match message.protocol {
            Protocol::Smtp => {
                self.spool_rest(message, &parcel, &copies.all, &fates, started)
                    .await
            }
            Protocol::Lmtp => Rest::nothing(fates.len()),
        };
        let delivered = rest.told(copies.delivered(&fates, &rest.queued));
        Outcome {
            delivered,
            copies,
            fates,
            took: started.elapsed(),
        }
    }

    /// Spools what no shard has. What was for a removed account, or will never be taken, goes too:
    /// the spool finds that again and keeps it as a dead letter.
    async fn spool_rest(
        &self,
        message: &Message,
        parcel: &Parcel,
        copies: &[Copy],
        fates: &[Fate],
        started: Instant,
    ) -> Rest {
        let open = |fate: &Fate| match fate {
            Fate::Pending(_) | Fate::Away { .. } | Fate::Gone | Fate::Never(_) => true,
            Fate::Stored(_) | Fate::Duplicate(_) => false,
        };
        let rest = copies.iter().zip(fates).filter(|(_, fate)| open(fate));
        let targets: Vec<_> = rest.map(|(copy, fate)| new_target(copy, fate)).collect();
        if targets.is_empty() {
            return Rest::nothing(fates.len());
        }
        let shards: Vec<_> = targets.iter().map(|target| target.shard.clone()).collect();
        // Should it become durable after all, the sender's next try is a duplicate.
        let spooling = self.spool_them(message, parcel, targets);
        let spooled = match timeout_at(started + self.latest, spooling).await {
            Ok(spooled) => spooled,
            Err(_) => Err(NotSpooled::Slow),
        };
        match &spooled {
            Ok(()) => shards.iter().for_each(|it| self.metrics.spooled(it)),
            Err(error) => {
                self.metrics.not_spooled(error.label());
                tracing::warn!(transaction = parcel.transaction, %error, "not spooled");
            }
        }
        let queued = fates.iter().map(|fate| spooled.is_ok() && open(fate));
        Rest {
            queued: queued.collect(),
            no_room: spooled.is_err_and(|error| error.is_full()),
        }
    }

    async fn spool_them(
        &self,
        message: &Message,
        parcel: &Parcel,
        targets: Vec<NewTarget>,
    ) -> Result<(), NotSpooled> {
        let kib = u32::try_from(parcel.body.size().div_ceil(1024)).unwrap_or(u32::MAX);
        let _room = self
            .spooling
            .acquire_many(kib)
            .await
            .map_err(|_| NotSpooled::Slow)?;
        let body: Vec<Bytes> = parcel.body.parts().try_collect().await?;
        for targets in targets.chunks(ENTRY_TARGETS) {
            let entry = NewEntry {
                transaction_id: message.transaction.id.clone(),
                delivery_id: parcel.delivery,
                reverse_path: message.transaction.from.to_string(),
                received_at_ms: parcel.received_at_ms,
                body: body.clone(),
                targets: targets.to_vec(),
            };
            self.spool.accept(entry).await?;
        }
        Ok(())
    }
}

/// After the final dot, until spooling is given up, so that the answer comes within 60 s.
pub(crate) const LATEST: Duration = Duration::from_secs(55);

// What is left is for the answer itself.
const _: () = assert!(LATEST.as_secs() + 5 <= ANSWER.as_secs());

/// Accounts of one entry in the spool; a message for more, by large aliases, is several. With the
/// longest addresses they leave a record room for the largest message.
const ENTRY_TARGETS: usize = 250;

/// Why a message is not in the spool.
#[derive(Debug, thiserror::Error)]
enum NotSpooled {
    #[error("the body cannot be read back: {0}")]
    Body(#[from] std::io::Error),
    #[error(transparent)]
    Refused(#[from] AcceptError),
    #[error("the spool's disk is slow")]
    Slow,
}

impl NotSpooled {
    /// See the metric.
    fn label(&self) -> &'static str {
        match self {
            Self::Body(_) => "body",
            Self::Slow => "slow",
            Self::Refused(AcceptError::Full) => "full",
            Self::Refused(AcceptError::NoRoom) => "no_room",
            Self::Refused(AcceptError::Log(LogError::Overloaded)) => "busy",
            Self::Refused(AcceptError::Log(_) | AcceptError::Targets(_)) => "failed",
        }
    }

    fn is_full(&self) -> bool {
        match self {
            Self::Body(_) | Self::Slow | Self::Refused(AcceptError::Targets(_)) => false,
            Self::Refused(AcceptError::Full | AcceptError::NoRoom) => true,
            Self::Refused(AcceptError::Log(error)) => error.is_full(),
        }
    }
}

/// What the spool made of the copies that no shard has.
struct Rest {
    /// Which copies are durable there.
    queued: Vec<bool>,
    /// It has no room for them.
    no_room: bool,
}

impl Rest {
    fn nothing(copies: usize) -> Self {
        Self {
            queued: vec![false; copies],
            no_room: false,
        }
    }

    /// What recipients are told.
    fn told(&self, mut delivered: Vec<Delivered>) -> Vec<Delivered> {
        for delivered in delivered.iter_mut().filter(|_| self.no_room) {
            if *delivered == Delivered::Deferred {
                *delivered = Delivered::NoRoom;
            }
        }
        delivered
    }
}

fn new_target(copy: &Copy, fate: &Fate) -> NewTarget {
    NewTarget {
        account: copy.target.account,
        epoch: copy.target.epoch,
        shard: copy.target.shard.clone(),
        prefix: copy.prefix.clone(),
        recipient: copy.target.address.clone(),
        at_once: match fate {
            Fate::Away { .. } | Fate::Gone | Fate::Never(_) => true,
            Fate::Pending(_) | Fate::Stored(_) | Fate::Duplicate(_) => false,
        },
    }
}

#[cfg(test)]
mod tests;
