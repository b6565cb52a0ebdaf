//! Events as records of the log, and back.

use bytes::{Buf, Bytes};
use prost::Message;
use segments::{Position, Record};
use wire::ids::{AccountId, DeliveryId, Epoch, IdError};

use crate::spool::queue::{BodyAt, Entry, EntryId, Event, Retry, State, Target};

pub(super) mod proto {
    #![allow(
        missing_docs,
        unreachable_pub,
        reason = "generated; spool.proto carries the comments"
    )]
    #![allow(clippy::all, reason = "generated")]
    include!(concat!(env!("OUT_DIR"), "/buzonera.spool.v1.rs"));
}

const ACCEPTED: u8 = 1;
const DONE: u8 = 2;
const RETRY: u8 = 3;
const DEAD: u8 = 4;
const REMOVED: u8 = 5;

/// Octets before the message of an `Accepted` record.
const LENGTH: usize = 4;

/// A record that is none of the spool's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecordError {
    /// A later release wrote it.
    #[error("a record of unknown kind {0}: use the release that wrote it or a later one")]
    Kind(u8),
    /// Its message does not parse.
    #[error("a record that does not parse: {0}")]
    Parse(String),
    /// An id in it is none.
    #[error("a record with a wrong id: {0}")]
    Id(#[from] IdError),
}

impl From<prost::DecodeError> for RecordError {
    fn from(error: prost::DecodeError) -> Self {
        Self::Parse(error.to_string())
    }
}

/// The record of a message just taken, or written forward; and where its body starts in it.
pub(super) fn accepted(entry: &Entry, body: impl IntoIterator<Item = Bytes>) -> (Record, u64) {
    let message = accepted_message(entry);
    let length = message.encoded_len();
    let mut head = Vec::with_capacity(LENGTH + length);
    head.extend_from_slice(&(length as u32).to_le_bytes());
    head.extend_from_slice(&message.encode_to_vec());
    let start = head.len() as u64;
    let parts = std::iter::once(Bytes::from(head)).chain(body).collect();
    let kind = ACCEPTED;
    (Record { kind, parts }, start)
}

/// What is recorded of a message, but for its body.
pub(super) fn accepted_message(entry: &Entry) -> proto::Accepted {
    proto::Accepted {
        entry: entry.id.0,
        transaction_id: entry.transaction_id.clone(),
        delivery_id: entry.delivery_id.to_field(),
        reverse_path: entry.reverse_path.clone(),
        received_at_ms: entry.received_at_ms,
        targets: entry.targets.iter().map(target).collect(),
    }
}

/// The record of any other event; `Accepted` has [`accepted`], for it brings a body.
pub(super) fn event(event: &Event) -> Record {
    let (kind, message) = match event {
        Event::Accepted(entry) => return accepted(entry, None).0,
        Event::Done(EntryId(entry), target) => {
            let (entry, target) = (*entry, *target);
            (DONE, proto::Done { entry, target }.encode_to_vec())
        }
        Event::Retry(retry) => (RETRY, self::retry(retry).encode_to_vec()),
        Event::Dead(EntryId(entry), target, reason) => {
            let dead = proto::Dead {
                entry: *entry,
                target: *target,
                reason: reason.clone(),
            };
            (DEAD, dead.encode_to_vec())
        }
        Event::Removed(EntryId(entry)) => {
            (REMOVED, proto::Removed { entry: *entry }.encode_to_vec())
        }
    };
    Record::new(kind, message)
}

/// Reads a record back.
pub(super) fn decode(position: Position, record: &Record) -> Result<Event, RecordError> {
    let payload = record.payload();
    Ok(match record.kind {
        ACCEPTED => Event::Accepted(decode_accepted(position, payload)?),
        DONE => {
            let done = proto::Done::decode(payload)?;
            Event::Done(EntryId(done.entry), done.target)
        }
        RETRY => {
            let retry = proto::Retry::decode(payload)?;
            Event::Retry(Retry {
                entry: EntryId(retry.entry),
                target: retry.target,
                attempts: retry.attempts,
                last_error: retry.last_error,
                next_attempt_ms: retry.next_attempt_ms,
                shard: retry.shard.parse()?,
                epoch: Epoch(retry.epoch),
            })
        }
        DEAD => {
            let dead = proto::Dead::decode(payload)?;
            Event::Dead(EntryId(dead.entry), dead.target, dead.reason)
        }
        REMOVED => Event::Removed(EntryId(proto::Removed::decode(payload)?.entry)),
        other => return Err(RecordError::Kind(other)),
    })
}

fn decode_accepted(position: Position, payload: Bytes) -> Result<Entry, RecordError> {
    let whole = payload.len();
    let mut rest = payload;
    let short = || RecordError::Parse("it is cut short".to_owned());
    let length = rest.try_get_u32_le().map_err(|_| short())? as usize;
    if rest.len() < length {
        return Err(short());
    }
    // Copied, so that the entry in memory does not hold the body there too.
    let message = proto::Accepted::decode(Bytes::copy_from_slice(&rest[..length]))?;
    let start = LENGTH + length;
    let body = BodyAt {
        position,
        start: start as u64,
        length: (whole - start) as u64,
    };
    entry(message, body)
}

/// The entry that [`accepted_message`] was made of.
pub(super) fn entry(message: proto::Accepted, body: BodyAt) -> Result<Entry, RecordError> {
    let targets = message.targets.into_iter().map(decode_target);
    Ok(Entry {
        id: EntryId(message.entry),
        transaction_id: message.transaction_id,
        delivery_id: DeliveryId::from_slice(&message.delivery_id)?,
        reverse_path: message.reverse_path,
        received_at_ms: message.received_at_ms,
        body,
        targets: targets.collect::<Result<_, _>>()?,
    })
}

fn target(target: &Target) -> proto::Target {
    let (next_attempt_ms, dead) = match &target.state {
        State::Due(at) => (*at, None),
        // After a crash it is due at once.
        State::InFlight => (0, None),
        State::Dead(reason) => (0, Some(reason.clone())),
    };
    proto::Target {
        index: target.index,
        account: target.account.to_field(),
        epoch: target.epoch.0,
        shard: target.shard.to_string(),
        prefix: target.prefix.clone(),
        recipient: target.recipient.clone(),
        attempts: target.attempts,
        last_error: target.last_error.clone(),
        next_attempt_ms,
        dead,
    }
}

fn decode_target(target: proto::Target) -> Result<Target, RecordError> {
    Ok(Target {
        index: target.index,
        account: AccountId::from_slice(&target.account)?,
        epoch: Epoch(target.epoch),
        shard: target.shard.parse()?,
        prefix: target.prefix,
        recipient: target.recipient,
        attempts: target.attempts,
        last_error: target.last_error,
        state: target
            .dead
            .map_or(State::Due(target.next_attempt_ms), State::Dead),
    })
}

fn retry(retry: &Retry) -> proto::Retry {
    proto::Retry {
        entry: retry.entry.0,
        target: retry.target,
        attempts: retry.attempts,
        last_error: retry.last_error.clone(),
        next_attempt_ms: retry.next_attempt_ms,
        shard: retry.shard.to_string(),
        epoch: retry.epoch.0,
    }
}

/// Feeds any octets to the parser of records; what it accepts must be written as it reads.
pub(super) fn fuzz(data: &[u8]) {
    let position = Position {
        segment: 1,
        offset: 64,
    };
    for kind in ACCEPTED..=REMOVED + 1 {
        let record = Record::new(kind, Bytes::copy_from_slice(data));
        let Ok(first) = decode(position, &record) else {
            continue;
        };
        let again = match &first {
            Event::Accepted(entry) => {
                let body = record.payload().slice(entry.body.start as usize..);
                let (record, start) = accepted(entry, [body]);
                let Ok(Event::Accepted(mut again)) = decode(position, &record) else {
                    panic!("{entry:?} does not read back");
                };
                assert_eq!(again.body.start, start);
                again.body = entry.body;
                Event::Accepted(again)
            }
            other => decode(position, &event(other)).unwrap_or(Event::Removed(EntryId(0))),
        };
        assert_eq!(first, again);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_records(entry: u64, target: u32, text in ".{0,20}", cut in 0_usize..60) {
            let dead = proto::Dead { entry, target, reason: text.clone() }.encode_to_vec();
            fuzz(&dead);
            fuzz(&dead[..cut.min(dead.len())]);
            let target = proto::Target {
                account: Bytes::from_static(&[7; 16]),
                shard: "shard-1".to_owned(),
                dead: (entry % 2 == 0).then_some(text),
                ..proto::Target::default()
            };
            let message = proto::Accepted {
                entry,
                delivery_id: Bytes::from_static(&[9; 16]),
                targets: vec![target],
                ..proto::Accepted::default()
            };
            let mut octets = (message.encoded_len() as u32).to_le_bytes().to_vec();
            octets.extend(message.encode_to_vec());
            octets.extend(b"body");
            fuzz(&octets);
            fuzz(&octets[..octets.len() - cut.min(octets.len())]);
        }
    }
}
