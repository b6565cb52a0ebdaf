//! One line for each recipient's outcome, refusals too.

use std::net::SocketAddr;

use wire::smtp::{ForwardPath, Reply};

use crate::accept::{Message, Outcome};
use crate::deliver::{Copy, Fate};
use crate::server::Server;
use crate::session::{Delivered, Transaction};

impl Server {
    /// A recipient that was refused at RCPT.
    pub(crate) fn log_refused_recipient(
        &self,
        peer: SocketAddr,
        transaction: &Transaction,
        recipient: &ForwardPath,
        reply: &Reply,
    ) {
        tracing::info!(
            transaction = %transaction.id,
            client = %peer,
            from = %transaction.from,
            %recipient,
            %reply,
            "recipient refused"
        );
    }

    /// A message that was refused after its body.
    pub(crate) fn log_refused_body(&self, message: &Message, replies: &[Reply]) {
        self.metrics.octets.inc_by(message.size);
        let Some(reply) = replies.first() else {
            return;
        };
        for recipient in &message.transaction.recipients {
            self.metrics.outcome("refused");
            tracing::info!(
                transaction = %message.transaction.id,
                client = %message.peer,
                from = %message.transaction.from,
                recipient = %recipient.path,
                size = message.size,
                message_id = message.message_id.as_deref().unwrap_or_default(),
                %reply,
                "message refused"
            );
        }
    }

    /// A message that was accepted, or put off.
    pub(crate) fn log_delivered(&self, message: &Message, outcome: &Outcome, replies: &[Reply]) {
        self.metrics.octets.inc_by(message.size);
        self.metrics.seconds.observe(outcome.took.as_secs_f64());
        for (index, delivered) in outcome.delivered.iter().enumerate() {
            self.metrics.outcome(label(*delivered));
            let reply = replies.get(index).or(replies.first());
            for &copy in &outcome.copies.of_recipient[index] {
                log_copy(message, outcome, index, copy, reply);
            }
        }
    }
}

fn log_copy(
    message: &Message,
    outcome: &Outcome,
    recipient: usize,
    copy: usize,
    reply: Option<&Reply>,
) {
    let Copy { target, .. } = &outcome.copies.all[copy];
    let (uid, reason) = match &outcome.fates[copy] {
        Fate::Stored(place) | Fate::Duplicate(place) => (place.uid, ""),
        Fate::Gone => (0, "the account is removed"),
        Fate::Pending(reason) => (0, reason.as_str()),
    };
    tracing::info!(
        transaction = %message.transaction.id,
        delivery = %message.delivery,
        client = %message.peer,
        from = %message.transaction.from,
        recipient = %message.transaction.recipients[recipient].path,
        size = message.size,
        message_id = message.message_id.as_deref().unwrap_or_default(),
        account = %target.account,
        shard = %target.shard,
        uid,
        reason,
        reply = reply.map(ToString::to_string).unwrap_or_default(),
        ms = outcome.took.as_millis(),
        "{}",
        label(outcome.delivered[recipient])
    );
}

fn label(delivered: Delivered) -> &'static str {
    match delivered {
        Delivered::Stored => "stored",
        Delivered::Duplicate => "duplicate",
        Delivered::Queued => "queued",
        Delivered::Deferred => "deferred",
        Delivered::Gone => "gone",
    }
}
