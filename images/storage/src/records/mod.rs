//! What the heap holds: one record per durable change.
//!
//! The messages are in `proto/buzonera/storage/v1/records.proto`; the log record's kind says which
//! one its payload is. Kinds are only added, so an older heap is always read; a kind that is not
//! known belongs to a later release, and the shard refuses to start on it.

use bytes::Bytes;
use prost::Message as _;
use segments::Record;
use wire::ids::{AccountId, DeliveryId, IdError, MoveId};

mod message;
pub mod proto;

use self::message::Outer;
pub(crate) use self::message::content_sum;
pub use self::message::{
    BODY_SUM_CHUNK, BodySums, Imported, Layout, Message, Target, body_sums, prefix_sums,
};
pub use self::proto::account_change::Change;

const VOLUME_OPENED: u8 = 1;
pub(crate) const MESSAGE: u8 = 2;
pub(crate) const IMPORTED: u8 = 3;
const ACCOUNT_CHANGE: u8 = 4;

/// One durable change.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// An incarnation of the shard opened the volume.
    VolumeOpened(proto::VolumeOpened),
    /// One message for one or several accounts.
    Message(Message),
    /// One message that a move brought.
    Imported(Imported),
    /// A change of one account, without a body.
    Change(AccountId, Change),
}

/// An entry as read, and where its octets are.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The entry.
    pub entry: Entry,
    /// Of messages: where prefixes and body are in the payload.
    pub layout: Layout,
    /// Of messages: xxh3-64 of each target's prefix, in order.
    pub prefix_sums: Vec<u64>,
}

/// A payload that is no record of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a later release.
    #[error("record kind {0} is not known: use the release that wrote it or a later one")]
    Kind(u8),
    /// Not the message that the kind says.
    #[error("not a record: {0}")]
    Message(#[from] prost::DecodeError),
    /// An id of the wrong size.
    #[error("not a record: {0}")]
    Id(#[from] IdError),
    /// Lengths that contradict each other, or a field that is missing.
    #[error("not a record: {0}")]
    Form(&'static str),
}

impl Entry {
    /// As a log record. `prefixes` and `body` are those of a message, in order; the body's pieces
    /// are not copied.
    pub fn encode(&self, prefixes: &[Bytes], body: &[Bytes]) -> (Record, Layout) {
        match self {
            Self::VolumeOpened(opened) => plain(VOLUME_OPENED, opened.encode_to_vec()),
            Self::Message(message) => {
                let head = proto::Message::from(message).encode_to_vec();
                message::lay_out(MESSAGE, &head, prefixes, body)
            }
            Self::Imported(imported) => {
                let head = proto::Imported::from(imported).encode_to_vec();
                message::lay_out(IMPORTED, &head, prefixes, body)
            }
            Self::Change(account, change) => {
                let change = proto::AccountChange {
                    account: account.to_field(),
                    change: Some(change.clone()),
                };
                plain(ACCOUNT_CHANGE, change.encode_to_vec())
            }
        }
    }

    /// From a log record's kind and payload; of a message, the payload may end before the body.
    pub fn decode(kind: u8, payload: &Bytes) -> Result<Decoded, RecordError> {
        match kind {
            VOLUME_OPENED => {
                let opened = proto::VolumeOpened::decode(payload.clone())?;
                Ok(Decoded::plain(Self::VolumeOpened(opened)))
            }
            MESSAGE => {
                let outer = Outer::of(payload)?;
                let message = Message::try_from(proto::Message::decode(outer.head())?)?;
                let layout = outer.layout(message.prefix_octets(), message.body_length)?;
                let lengths = message.targets.iter().map(|target| target.prefix_length);
                Ok(Decoded {
                    prefix_sums: message::sums_in(payload, layout, lengths),
                    entry: Self::Message(message),
                    layout,
                })
            }
            IMPORTED => {
                let outer = Outer::of(payload)?;
                let imported = Imported::try_from(proto::Imported::decode(outer.head())?)?;
                let layout = outer.layout(imported.prefix_length.into(), imported.body_length)?;
                Ok(Decoded {
                    prefix_sums: message::sums_in(payload, layout, [imported.prefix_length]),
                    entry: Self::Imported(imported),
                    layout,
                })
            }
            ACCOUNT_CHANGE => {
                let change = proto::AccountChange::decode(payload.clone())?;
                let account = AccountId::from_slice(&change.account)?;
                let change = change.change.ok_or(RecordError::Form("no change"))?;
                check_change(&change)?;
                Ok(Decoded::plain(Self::Change(account, change)))
            }
            kind => Err(RecordError::Kind(kind)),
        }
    }
}

impl Decoded {
    fn plain(entry: Entry) -> Self {
        Self {
            entry,
            layout: Layout::default(),
            prefix_sums: Vec::new(),
        }
    }
}

fn plain(kind: u8, payload: Vec<u8>) -> (Record, Layout) {
    (Record::new(kind, payload), Layout::default())
}

/// What a change's own message cannot say about its fields.
fn check_change(change: &Change) -> Result<(), RecordError> {
    let ascending = |uids: &[u32]| uids.is_sorted_by(|a, b| a < b);
    match change {
        Change::Expunged(expunged) if !ascending(&expunged.uids) => {
            Err(RecordError::Form("UIDs do not ascend"))
        }
        Change::FlagsChanged(changed) if !ascending(&changed.uids) => {
            Err(RecordError::Form("UIDs do not ascend"))
        }
        Change::Ownership(ownership) => {
            if ownership.holding() == proto::Holding::Unspecified {
                return Err(RecordError::Form("no holding"));
            }
            if !ownership.move_id.is_empty() {
                MoveId::from_slice(&ownership.move_id)?;
            }
            Ok(())
        }
        Change::DeliveriesImported(imported) => {
            for remembered in &imported.deliveries {
                DeliveryId::from_slice(&remembered.delivery_id)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Feeds any octets to every decoder of this module; what decodes must encode to the same entry.
pub fn fuzz(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else {
        return;
    };
    let payload = Bytes::copy_from_slice(rest);
    let Ok(Decoded { entry, layout, .. }) = Entry::decode(kind % 5, &payload) else {
        return;
    };
    let prefixes = payload.slice(layout.prefix_at as usize..layout.body_at as usize);
    let body = payload.slice(layout.body_at as usize..);
    let (record, _) = match &entry {
        Entry::Message(_) | Entry::Imported(_) => entry.encode(&[prefixes], &[body]),
        _ => entry.encode(&[], &[]),
    };
    let again = Entry::decode(record.kind, &record.payload()).map(|decoded| decoded.entry);
    assert_eq!(again, Ok(entry));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn two_targets(body: &Bytes) -> Message {
        let target = |prefix_length| Target {
            account: AccountId::random(),
            mailbox: 0,
            uid: 7,
            modseq: 9,
            prefix_length,
        };
        Message {
            delivery: Some(DeliveryId::random()),
            received_at_ms: -1,
            stored_at_ms: 1_700_000_000_000,
            body_length: body.len() as u64,
            body_sums: body_sums([body]),
            targets: vec![target(2), target(3)],
        }
    }

    fn encoded() -> (u8, Bytes) {
        let body = Bytes::from(vec![b'x'; BODY_SUM_CHUNK + 10]);
        let prefixes = [Bytes::from("ab"), Bytes::from("cde")];
        let entry = Entry::Message(two_targets(&body));
        let (record, layout) = entry.encode(&prefixes, &[body.slice(..5), body.slice(5..)]);
        let payload = record.payload();
        assert_eq!(payload.slice(layout.body_at as usize..), body);
        assert_eq!(&payload[layout.prefix_at as usize..][..5], b"abcde");
        let decoded = Entry::decode(record.kind, &payload).unwrap();
        let prefix_sums = prefix_sums(&prefixes);
        let expected = Decoded {
            entry,
            layout,
            prefix_sums,
        };
        assert_eq!(decoded, expected);
        (record.kind, payload)
    }

    #[test]
    fn a_message_is_what_it_was() {
        let (kind, payload) = encoded();
        let cut = payload.slice(..payload.len() - 1);
        let error = Entry::decode(kind, &cut).unwrap_err();
        assert_eq!(error, RecordError::Form("lengths contradict each other"));
        assert_eq!(Entry::decode(99, &payload), Err(RecordError::Kind(99)));
    }

    #[test]
    fn a_flipped_bit_before_the_body_is_seen() {
        let (kind, payload) = encoded();
        let before_body = payload.len() - BODY_SUM_CHUNK - 10;
        for octet in 0..before_body {
            let mut damaged = payload.to_vec();
            damaged[octet] ^= 0x10;
            assert!(Entry::decode(kind, &damaged.into()).is_err(), "{octet}");
        }
    }

    proptest! {
        #[test]
        fn any_octets(data: Vec<u8>) {
            fuzz(&data);
        }

        #[test]
        fn near_messages(position: prop::sample::Index, octet: u8) {
            let (kind, payload) = encoded();
            let mut data = [&[kind], payload.as_ref()].concat();
            let at = position.index(data.len());
            data[at] = octet;
            fuzz(&data);
        }
    }
}
