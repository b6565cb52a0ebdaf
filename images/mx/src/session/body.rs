//! The machine's part from DATA or BDAT to the last reply.

use strum::IntoStaticStr;
use wire::smtp::{Flaws, Reply};

use super::{Action, Protocol, SKIPPED_SIZES, Session, Transaction, replies};

/// What the driver saw of a body that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodySummary {
    /// Octets of content.
    pub octets: u64,
    /// Bare CR, bare LF, NUL.
    pub flaws: Flaws,
    /// Received fields.
    pub received: u32,
    /// Whether all of it was kept.
    pub kept: Kept,
}

/// Whether a body was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// All of it.
    Whole,
    /// No: neither memory nor disk had room.
    NoRoom,
}

/// What to do with a body.
#[derive(Debug)]
pub enum Verdict {
    /// Deliver it, then call [`Session::delivered`].
    Deliver(Transaction),
    /// Send these.
    Refuse(Transaction, Vec<Reply>),
}

/// What became of one recipient's copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Delivered {
    /// Durable at every shard it goes to.
    Stored,
    /// It was durable there before.
    Duplicate,
    /// Durable in the spool, at least in part.
    Queued,
    /// Not durable; the sender keeps it and tries again.
    Deferred,
    /// Likewise, for want of room.
    #[strum(serialize = "deferred")]
    NoRoom,
    /// The account was removed meanwhile (LMTP only).
    Gone,
    /// Its shard will not take it, however often it is tried (LMTP only).
    Never,
}

impl Delivered {
    /// Its label in the metrics.
    pub fn label(self) -> &'static str {
        self.into()
    }
}

impl Session {
    pub(super) fn chunk(mut self, size: u64, last: bool) -> (Self, Action) {
        let limit = self.policy.max_message_size;
        let Some(mut transaction) = self.transaction.take() else {
            return self.skip_chunk(size, vec![replies::need_mail()]);
        };
        let total = transaction.chunked.unwrap_or(0).saturating_add(size);
        if total > limit {
            return self.refuse_chunk(size, last, transaction);
        }
        transaction.chunked = Some(total);
        self.transaction = Some(transaction);
        let reply = (!last).then(|| replies::chunk_ok(size));
        (self, Action::Chunk(size, reply))
    }

    /// The message is too large, and over.
    fn refuse_chunk(self, size: u64, last: bool, transaction: Transaction) -> (Self, Action) {
        let count = if last {
            transaction.recipients.len()
        } else {
            1
        };
        let replies = self.repeated(replies::too_large(), count);
        let (mut session, action) = self.skip_chunk(size, replies);
        match action {
            Action::SkipChunk(size, replies) => {
                (session, Action::RefuseChunk(size, transaction, replies))
            }
            close => {
                session.transaction = Some(transaction);
                (session, close)
            }
        }
    }

    /// The octets of a refused BDAT are read and dropped, never parsed.
    pub(super) fn skip_chunk(mut self, size: u64, replies: Vec<Reply>) -> (Self, Action) {
        self.errors += 1;
        if self.errors > self.policy.max_errors {
            return (self, Action::Close(replies::too_many_errors()));
        }
        let bound = self.policy.max_message_size.saturating_mul(SKIPPED_SIZES);
        if size > bound {
            return (self, Action::Close(replies::too_large()));
        }
        (self, Action::SkipChunk(size, replies))
    }

    /// A chunk that is not the last could not be kept: the transaction ends.
    #[must_use]
    pub fn chunk_failed(mut self) -> (Self, Option<Verdict>) {
        let transaction = self.transaction.take();
        let refuse = |transaction| Verdict::Refuse(transaction, vec![replies::no_room()]);
        (self, transaction.map(refuse))
    }

    /// The body has no end within reason: the connection does not outlive it.
    pub fn body_endless(&self) -> Reply {
        replies::far_too_large()
    }

    /// The body is whole.
    #[must_use]
    pub fn body_ended(mut self, summary: &BodySummary) -> (Self, Option<Verdict>) {
        let Some(transaction) = self.transaction.take() else {
            return (self, None);
        };
        let verdict = match self.refusal(summary) {
            None => Verdict::Deliver(transaction),
            Some(reply) => {
                let replies = self.repeated(reply, transaction.recipients.len());
                Verdict::Refuse(transaction, replies)
            }
        };
        (self, Some(verdict))
    }

    fn refusal(&self, summary: &BodySummary) -> Option<Reply> {
        if summary.octets > self.policy.max_message_size {
            return Some(replies::too_large());
        }
        if summary.flaws.any() {
            return Some(replies::bad_endings(summary.flaws));
        }
        if summary.received >= self.policy.max_received {
            return Some(replies::mail_loop());
        }
        (summary.kept == Kept::NoRoom).then(replies::no_room)
    }

    /// The replies for what became of the recipients, in their order: one for all in SMTP, one for
    /// each in LMTP (RFC 2033 section 4.2).
    pub fn delivered(&self, transaction: &Transaction, outcomes: &[Delivered]) -> Vec<Reply> {
        let id = &transaction.id;
        match self.protocol {
            Protocol::Smtp => vec![replies::delivered(id, summed(outcomes))],
            Protocol::Lmtp => {
                let each = outcomes
                    .iter()
                    .map(|outcome| replies::delivered(id, *outcome));
                each.collect()
            }
        }
    }

    /// A reply about the whole body: LMTP gives it for each recipient.
    fn repeated(&self, reply: Reply, recipients: usize) -> Vec<Reply> {
        let count = match self.protocol {
            Protocol::Smtp => 1,
            Protocol::Lmtp => recipients.max(1),
        };
        vec![reply; count]
    }
}

/// SMTP has one answer: yes when every copy is durable, else "try again" for all, which is harmless
/// since shards know the delivery's id.
fn summed(outcomes: &[Delivered]) -> Delivered {
    let any = |wanted| outcomes.contains(&wanted);
    if any(Delivered::NoRoom) {
        Delivered::NoRoom
    } else if [Delivered::Deferred, Delivered::Gone, Delivered::Never]
        .into_iter()
        .any(any)
    {
        Delivered::Deferred
    } else if any(Delivered::Queued) {
        Delivered::Queued
    } else if any(Delivered::Stored) {
        Delivered::Stored
    } else {
        Delivered::Duplicate
    }
}
