//! One Deliver call: one message to accounts of one shard.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::stream::{self, Stream, StreamExt as _};
use kit::rpc::Channel;
use kit::services::shard_client::ShardClient;
use tokio::time::Instant;
use tonic::Code;
use wire::ids::Epoch;
use wire::rpc::deliver_outcome::Outcome;
use wire::rpc::deliver_part::Part;
use wire::rpc::{
    DeliverCommit, DeliverHeader, DeliverOutcome, DeliverPart, DeliverReply, DeliverTarget, Stored,
};

use super::{Copy, Fate, Parcel, Place};
use crate::spool::NoAnswer;

/// What a shard said about one copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attempt {
    Done(Fate),
    /// It is elsewhere; the directory's answer must be at least of this epoch.
    Moved(Epoch),
}

/// Sends the copies; one attempt each, in order. What goes wrong is [`Fate::Pending`], or
/// [`Fate::Away`] when that is no fault of this message.
pub(super) async fn deliver(
    channel: Channel,
    parcel: &Parcel,
    copies: &[&Copy],
    deadline: Instant,
) -> Vec<Attempt> {
    let mut request = tonic::Request::new(parts(parcel, copies));
    request.set_timeout(deadline.saturating_duration_since(Instant::now()));
    let mut client = ShardClient::new(channel);
    match tokio::time::timeout_at(deadline, client.deliver(request)).await {
        Ok(Ok(reply)) => understand(copies, reply.into_inner()),
        Ok(Err(status)) => {
            let reason = format!("{}: {}", status.code(), status.message());
            match status.code() {
                Code::Unavailable => all_away(copies, NoAnswer::Refused, &reason),
                Code::DeadlineExceeded => all_away(copies, NoAnswer::Late, &reason),
                _ => all_pending(copies, &reason),
            }
        }
        Err(_) => all_away(copies, NoAnswer::Late, "the shard is slow"),
    }
}

pub(super) fn all_pending(copies: &[&Copy], reason: &str) -> Vec<Attempt> {
    vec![Attempt::Done(Fate::Pending(reason.to_owned())); copies.len()]
}

pub(super) fn all_away(copies: &[&Copy], how: NoAnswer, reason: &str) -> Vec<Attempt> {
    let away = |copy: &&Copy| {
        let (shard, reason) = (copy.target.shard.clone(), reason.to_owned());
        Attempt::Done(Fate::Away { shard, how, reason })
    };
    copies.iter().map(away).collect()
}

/// Header, chunks, commit. When the body cannot be read there is no commit, so nothing happened.
fn parts(parcel: &Parcel, copies: &[&Copy]) -> impl Stream<Item = DeliverPart> + Send + use<> {
    let header = Part::Header(DeliverHeader {
        transaction_id: parcel.transaction.clone(),
        size: parcel.body.size(),
        targets: copies.iter().map(|copy| target(copy)).collect(),
    });
    let commit = Part::Commit(DeliverCommit {
        delivery_id: parcel.delivery.to_field(),
        received_at_ms: parcel.received_at_ms,
    });
    let whole = Arc::new(AtomicBool::new(true));
    let still_whole = whole.clone();
    let chunks = parcel.body.parts().take_while(move |part| {
        if let Err(error) = part {
            tracing::warn!(%error, "a body cannot be read back");
            still_whole.store(false, Ordering::Relaxed);
        }
        ready(part.is_ok())
    });
    let chunks = chunks.filter_map(|part| ready(part.ok().map(Part::Chunk)));
    let commit = stream::once(async move { whole.load(Ordering::Relaxed).then_some(commit) });
    let parts = stream::iter([header])
        .chain(chunks)
        .chain(commit.filter_map(ready));
    parts.map(|part| DeliverPart { part: Some(part) })
}

fn target(copy: &Copy) -> DeliverTarget {
    DeliverTarget {
        account: copy.target.account.to_field(),
        epoch: copy.target.epoch.0,
        prefix: copy.prefix.clone(),
    }
}

fn understand(copies: &[&Copy], reply: DeliverReply) -> Vec<Attempt> {
    let fits = |(copy, outcome): (&&Copy, &DeliverOutcome)| {
        copy.target.account.as_bytes()[..] == outcome.account[..]
    };
    let one_each = reply.outcomes.len() == copies.len();
    if !one_each || !copies.iter().zip(&reply.outcomes).all(fits) {
        return all_pending(copies, "the shard's reply does not fit the request");
    }
    reply.outcomes.into_iter().map(attempt).collect()
}

fn attempt(outcome: DeliverOutcome) -> Attempt {
    let place = |stored: Stored| Place {
        uid_validity: stored.uid_validity,
        uid: stored.uid,
    };
    match outcome.outcome {
        Some(Outcome::Stored(stored)) => Attempt::Done(Fate::Stored(place(stored))),
        Some(Outcome::Duplicate(stored)) => Attempt::Done(Fate::Duplicate(place(stored))),
        Some(Outcome::Moved(epoch)) => Attempt::Moved(Epoch(epoch)),
        Some(Outcome::Retry(reason)) => Attempt::Done(Fate::Pending(reason)),
        Some(Outcome::Never(reason)) => Attempt::Done(Fate::Never(reason)),
        None => Attempt::Done(Fate::Pending("the shard's reply has no outcome".into())),
    }
}
