//! How attempts to deliver end, and what is recorded of that. Pure.

use wire::ids::{Epoch, ShardName};

use crate::spool::queue::{Entry, Event, NoAnswer, Retry, Target};
use crate::spool::schedule::Schedule;

/// Longest error text that is kept.
const MAX_ERROR: usize = 500;

/// How an attempt went for one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The account has it, durably; perhaps it had it before.
    Done,
    /// Not now, for this reason, which says nothing about other messages.
    Retry(String),
    /// Not now, for this reason, and no other message of this queue either: the shard does not
    /// answer, or nobody says where it is.
    Away(NoAnswer, String),
    /// The account is elsewhere now.
    Moved {
        /// Where.
        shard: ShardName,
        /// By which epoch.
        epoch: Epoch,
    },
    /// Never, for this reason: the account was removed, or its shard will not take the message.
    Dead(String),
}

/// When an attempt ended, and when its shard is to be asked again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    /// Milliseconds since 1970.
    pub(super) now_ms: i64,
    /// From 0 to below 1.
    pub(super) chance: f64,
    /// When the shard is probed, if it is away.
    pub(super) probe_ms: Option<i64>,
}

impl Outcome {
    /// What is to be recorded. What met an absent shard waits for the shard, not for its own turn;
    /// if the shard is back by now, it is tried at once.
    /// An account that moved is tried at once; if it moves again, with delay. What is too old
    /// becomes a dead letter.
    pub(super) fn event(
        self,
        entry: &Entry,
        target: &Target,
        schedule: &Schedule,
        ended: Ended,
    ) -> Event {
        let now_ms = ended.now_ms;
        let attempts = target.attempts.saturating_add(1);
        let later = schedule.next_attempt(attempts, now_ms, ended.chance);
        let here = (target.shard.clone(), target.epoch);
        let (last_error, (shard, epoch), next_attempt_ms) = match self {
            Self::Done => return Event::Done(entry.id, target.index),
            Self::Dead(reason) => return Event::Dead(entry.id, target.index, shortened(reason)),
            Self::Retry(error) => (error, here, later),
            Self::Away(_, error) => (error, here, ended.probe_ms.unwrap_or(now_ms)),
            Self::Moved { shard, epoch } => {
                let text = format!("moved to {shard}, epoch {epoch}");
                let next = if epoch > target.epoch { now_ms } else { later };
                (text, (shard, epoch), next)
            }
        };
        let follows = epoch > target.epoch;
        if schedule.expired(entry.received_at_ms, now_ms) && !follows {
            let reason = format!("given up after {attempts} attempts: {last_error}");
            return Event::Dead(entry.id, target.index, shortened(reason));
        }
        Event::Retry(Retry {
            entry: entry.id,
            target: target.index,
            attempts,
            last_error: shortened(last_error),
            next_attempt_ms,
            shard,
            epoch,
        })
    }
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_ERROR));
    text
}
