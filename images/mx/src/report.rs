//! One line for each recipient's outcome, refusals too.

use std::net::SocketAddr;
use std::time::Duration;

use kit::telemetry::Outcome as Line;
use wire::smtp::{ForwardPath, Reply};

use crate::accept::{Message, Outcome};
use crate::deliver::Fate;
use crate::session::Transaction;
use crate::shared::Server;

impl Server {
    /// A recipient that was refused, at RCPT as a rule.
    pub(crate) fn log_refused_recipient(
        &self,
        peer: SocketAddr,
        transaction: &Transaction,
        recipient: &ForwardPath,
        reply: &Reply,
    ) {
        let (from, recipient) = (transaction.from.to_string(), recipient.to_string());
        let reply = reply.to_string();
        line(
            transaction.id.as_str(),
            peer,
            (&from, &recipient),
            &reply,
            Duration::ZERO,
        )
        .log();
    }

    /// A message that was refused before its body was whole.
    pub(crate) fn log_refused_message(
        &self,
        peer: SocketAddr,
        transaction: &Transaction,
        replies: &[Reply],
    ) {
        for (index, recipient) in transaction.recipients.iter().enumerate() {
            self.metrics.outcome("refused");
            if let Some(reply) = replies.get(index).or(replies.first()) {
                self.log_refused_recipient(peer, transaction, &recipient.path, reply);
            }
        }
    }

    /// A message that was refused after its body.
    pub(crate) fn log_refused_body(&self, message: &Message, replies: &[Reply]) {
        self.metrics.octets.inc_by(message.size);
        let Some(reply) = replies.first().map(ToString::to_string) else {
            return;
        };
        for recipient in &message.transaction.recipients {
            self.metrics.outcome("refused");
            let recipient = recipient.path.to_string();
            message.line(&recipient, &reply, Duration::ZERO, |line| line.log());
        }
    }

    /// A message that was accepted, or put off.
    pub(crate) fn log_delivered(&self, message: &Message, outcome: &Outcome, replies: &[Reply]) {
        self.metrics.octets.inc_by(message.size);
        self.metrics
            .answer_seconds
            .observe(outcome.took.as_secs_f64());
        for (index, delivered) in outcome.delivered.iter().enumerate() {
            self.metrics.outcome(delivered.label());
            let reply = replies.get(index).or(replies.first());
            let reply = reply.map(ToString::to_string).unwrap_or_default();
            let recipient = message.transaction.recipients[index].path.to_string();
            for &copy in &outcome.copies.of_recipient[index] {
                log_copy(message, outcome, (&recipient, copy), &reply);
            }
        }
    }
}

impl Message {
    /// A line with what is the same for all its recipients.
    fn line(&self, recipient: &str, reply: &str, took: Duration, with: impl FnOnce(Line<'_>)) {
        let from = self.transaction.from.to_string();
        let id = self.transaction.id.as_str();
        with(Line {
            delivery: Some(self.delivery),
            size: Some(self.size),
            message_id: self.message_id.as_deref(),
            ..line(id, self.peer, (&from, recipient), reply, took)
        });
    }
}

fn log_copy(message: &Message, outcome: &Outcome, (recipient, copy): (&str, usize), reply: &str) {
    let target = &outcome.copies.all[copy].target;
    let (uid, reason) = match &outcome.fates[copy] {
        Fate::Stored(place) | Fate::Duplicate(place) => (Some(place.uid), None),
        Fate::Gone => (None, Some("the account is removed")),
        Fate::Never(reason) | Fate::Pending(reason) | Fate::Away { reason, .. } => {
            (None, Some(reason.as_str()))
        }
    };
    if let Some(reason) = reason {
        let transaction = message.transaction.id.as_str();
        tracing::info!(transaction, account = %target.account, shard = %target.shard, reason, "not stored");
    }
    message.line(recipient, reply, outcome.took, |line| {
        let (account, shard) = (Some(target.account), Some(&target.shard));
        Line {
            account,
            shard,
            uid,
            ..line
        }
        .log();
    });
}

fn line<'a>(
    transaction: &'a str,
    client: SocketAddr,
    (from, recipient): (&'a str, &'a str),
    reply: &'a str,
    took: Duration,
) -> Line<'a> {
    Line {
        transaction,
        delivery: None,
        client: Some(client),
        from,
        recipient,
        size: None,
        message_id: None,
        account: None,
        shard: None,
        uid: None,
        reply,
        took,
    }
}
