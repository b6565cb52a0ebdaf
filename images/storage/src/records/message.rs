//! Records that carry a message: their layout, and what they say about it.
//!
//! The payload is: length of the head (u32), xxh3-64 over head and prefixes (u64), both little
//! endian; the head (a `Message` or `Imported`); the prefixes, one per target; the body. Each
//! 256 KiB of the body has its own sum in the head, so any part can be read alone and trusted.

use bytes::{BufMut, Bytes, BytesMut};
use segments::Record;
use wire::ids::{AccountId, DeliveryId};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::{RecordError, proto};

/// Octets of body under one sum: one read, small enough to buffer per session.
pub const BODY_SUM_CHUNK: usize = 256 << 10;

/// Length of the head and its sum.
const OUTER: usize = 4 + 8;

/// One message for one or several accounts.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// `None`: not remembered.
    pub delivery: Option<DeliveryId>,
    /// The internal date, milliseconds since 1970.
    pub received_at_ms: i64,
    /// When this shard stored it.
    pub stored_at_ms: i64,
    /// Octets.
    pub body_length: u64,
    /// See [`body_sums`].
    pub body_sums: Vec<u64>,
    /// At least one, each account once.
    pub targets: Vec<Target>,
}

/// Where a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The account.
    pub account: AccountId,
    /// Which of its mailboxes; 0 is INBOX.
    pub mailbox: u32,
    /// Its UID there.
    pub uid: u32,
    /// The change number it was given.
    pub modseq: u64,
    /// Octets of this target's prefix.
    pub prefix_length: u32,
}

/// One message that a move brought, as it was at the source.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The account.
    pub account: AccountId,
    /// Which of its mailboxes.
    pub mailbox: u32,
    /// Its UID there.
    pub uid: u32,
    /// Its change number.
    pub modseq: u64,
    /// Flags and keywords.
    pub flags: Vec<String>,
    /// Milliseconds since 1970.
    pub internal_date_ms: i64,
    /// Octets.
    pub prefix_length: u32,
    /// Octets.
    pub body_length: u64,
    /// See [`body_sums`].
    pub body_sums: Vec<u64>,
    /// A recorded POP3 unique-id; empty: derived.
    pub uidl: String,
}

/// Where prefixes and body are in a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layout {
    /// The first prefix.
    pub prefix_at: u32,
    /// The body.
    pub body_at: u32,
}

/// Sums a body that comes in pieces.
#[derive(Default)]
pub struct BodySums {
    sums: Vec<u64>,
    open: Xxh3,
    open_length: usize,
}

impl BodySums {
    /// Takes the next piece, of any length.
    pub fn add(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let take = piece.len().min(BODY_SUM_CHUNK - self.open_length);
            let (now, later) = piece.split_at(take);
            self.open.update(now);
            self.open_length += take;
            if self.open_length == BODY_SUM_CHUNK {
                self.close();
            }
            piece = later;
        }
    }

    /// One xxh3-64 per 256 KiB, the last one shorter; none for an empty body.
    pub fn finish(mut self) -> Vec<u64> {
        if self.open_length > 0 {
            self.close();
        }
        self.sums
    }

    fn close(&mut self) {
        self.sums.push(self.open.digest());
        self.open.reset();
        self.open_length = 0;
    }
}

/// The sums of a body that is in memory.
pub fn body_sums<'a>(pieces: impl IntoIterator<Item = &'a Bytes>) -> Vec<u64> {
    let mut sums = BodySums::default();
    pieces.into_iter().for_each(|piece| sums.add(piece));
    sums.finish()
}

/// The sums of prefixes, xxh3-64 each.
pub fn prefix_sums(prefixes: &[Bytes]) -> Vec<u64> {
    prefixes.iter().map(|prefix| xxh3_64(prefix)).collect()
}

/// The sums of the prefixes in a payload, given their lengths. The layout was checked.
pub(super) fn sums_in(
    payload: &Bytes,
    layout: Layout,
    lengths: impl IntoIterator<Item = u32>,
) -> Vec<u64> {
    let mut rest = &payload[layout.prefix_at as usize..layout.body_at as usize];
    let sum = |length: u32| {
        let (prefix, others) = rest.split_at(rest.len().min(length as usize));
        rest = others;
        xxh3_64(prefix)
    };
    lengths.into_iter().map(sum).collect()
}

/// One sum over all that a message is made of: its prefix, and its body piece by piece. Equal sums
/// of two shards' messages of equal lengths mean equal messages.
pub(crate) fn content_sum(prefix_sum: u64, body_sums: &[u64]) -> u64 {
    let mut sum = Xxh3::new();
    sum.update(&prefix_sum.to_le_bytes());
    body_sums
        .iter()
        .for_each(|body_sum| sum.update(&body_sum.to_le_bytes()));
    sum.digest()
}

impl Message {
    /// Octets of all prefixes.
    pub(super) fn prefix_octets(&self) -> u64 {
        let lengths = self.targets.iter().map(|target| target.prefix_length);
        lengths.map(u64::from).sum()
    }
}

/// The record of `head`; pieces of prefixes and body are taken as they are.
pub(super) fn lay_out(
    kind: u8,
    head: &[u8],
    prefixes: &[Bytes],
    body: &[Bytes],
) -> (Record, Layout) {
    let prefix_length: usize = prefixes.iter().map(Bytes::len).sum();
    let mut before_body = BytesMut::with_capacity(OUTER + head.len() + prefix_length);
    before_body.put_u32_le(narrow(head.len()));
    before_body.put_u64_le(0);
    before_body.put_slice(head);
    prefixes
        .iter()
        .for_each(|prefix| before_body.put_slice(prefix));
    let sum = xxh3_64(&before_body[OUTER..]);
    before_body[4..OUTER].copy_from_slice(&sum.to_le_bytes());
    let layout = Layout {
        prefix_at: narrow(OUTER + head.len()),
        body_at: narrow(before_body.len()),
    };
    let mut parts = Vec::with_capacity(1 + body.len());
    parts.push(before_body.freeze());
    parts.extend_from_slice(body);
    (Record { kind, parts }, layout)
}

/// Lengths within a payload: the log takes none above 80 MiB.
fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A payload whose outer length is read and whose head is not yet.
pub(super) struct Outer<'a> {
    payload: &'a Bytes,
    sum: u64,
    prefix_at: usize,
}

impl<'a> Outer<'a> {
    pub(super) fn of(payload: &'a Bytes) -> Result<Self, RecordError> {
        let short = RecordError::Form("shorter than its own lengths");
        let (length, rest) = payload.split_first_chunk().ok_or(short.clone())?;
        let (sum, _) = rest.split_first_chunk().ok_or(short.clone())?;
        let prefix_at = OUTER + u32::from_le_bytes(*length) as usize;
        if prefix_at > payload.len() {
            return Err(short);
        }
        let sum = u64::from_le_bytes(*sum);
        Ok(Self {
            payload,
            sum,
            prefix_at,
        })
    }

    pub(super) fn head(&self) -> Bytes {
        self.payload.slice(OUTER..self.prefix_at)
    }

    /// Checks the sum, and that prefixes and body fill the rest. The payload may end with the
    /// prefixes: its reader wants only the head.
    pub(super) fn layout(self, prefixes: u64, body: u64) -> Result<Layout, RecordError> {
        let contradiction = RecordError::Form("lengths contradict each other");
        let rest = (self.payload.len() - self.prefix_at) as u64;
        if prefixes > rest || prefixes.checked_add(body) != Some(rest) && prefixes != rest {
            return Err(contradiction);
        }
        let body_at = self.prefix_at + prefixes as usize;
        if xxh3_64(&self.payload[OUTER..body_at]) != self.sum {
            return Err(RecordError::Form("the head's sum is wrong"));
        }
        Ok(Layout {
            prefix_at: narrow(self.prefix_at),
            body_at: narrow(body_at),
        })
    }
}

impl From<&Message> for proto::Message {
    fn from(message: &Message) -> Self {
        let target = |target: &Target| proto::Target {
            account: target.account.to_field(),
            mailbox: target.mailbox,
            uid: target.uid,
            modseq: target.modseq,
            prefix_length: target.prefix_length,
        };
        Self {
            delivery_id: message
                .delivery
                .map(DeliveryId::to_field)
                .unwrap_or_default(),
            received_at_ms: message.received_at_ms,
            stored_at_ms: message.stored_at_ms,
            body_length: message.body_length,
            body_sums: message.body_sums.clone(),
            targets: message.targets.iter().map(target).collect(),
        }
    }
}

impl TryFrom<proto::Message> for Message {
    type Error = RecordError;

    fn try_from(message: proto::Message) -> Result<Self, RecordError> {
        let target = |target: proto::Target| {
            Ok(Target {
                account: AccountId::from_slice(&target.account)?,
                mailbox: target.mailbox,
                uid: target.uid,
                modseq: target.modseq,
                prefix_length: target.prefix_length,
            })
        };
        check_sums(&message.body_sums, message.body_length)?;
        let targets = message.targets.into_iter().map(target);
        Ok(Self {
            delivery: delivery(&message.delivery_id)?,
            received_at_ms: message.received_at_ms,
            stored_at_ms: message.stored_at_ms,
            body_length: message.body_length,
            body_sums: message.body_sums,
            targets: targets.collect::<Result<_, RecordError>>()?,
        })
    }
}

impl From<&Imported> for proto::Imported {
    fn from(imported: &Imported) -> Self {
        Self {
            account: imported.account.to_field(),
            mailbox: imported.mailbox,
            uid: imported.uid,
            modseq: imported.modseq,
            flags: imported.flags.clone(),
            internal_date_ms: imported.internal_date_ms,
            prefix_length: imported.prefix_length,
            body_length: imported.body_length,
            body_sums: imported.body_sums.clone(),
            uidl: imported.uidl.clone(),
        }
    }
}

impl TryFrom<proto::Imported> for Imported {
    type Error = RecordError;

    fn try_from(imported: proto::Imported) -> Result<Self, RecordError> {
        check_sums(&imported.body_sums, imported.body_length)?;
        Ok(Self {
            account: AccountId::from_slice(&imported.account)?,
            mailbox: imported.mailbox,
            uid: imported.uid,
            modseq: imported.modseq,
            flags: imported.flags,
            internal_date_ms: imported.internal_date_ms,
            prefix_length: imported.prefix_length,
            body_length: imported.body_length,
            body_sums: imported.body_sums,
            uidl: imported.uidl,
        })
    }
}

fn delivery(field: &Bytes) -> Result<Option<DeliveryId>, RecordError> {
    match field.is_empty() {
        true => Ok(None),
        false => Ok(Some(DeliveryId::from_slice(field)?)),
    }
}

fn check_sums(sums: &[u64], body_length: u64) -> Result<(), RecordError> {
    match body_length.div_ceil(BODY_SUM_CHUNK as u64) == sums.len() as u64 {
        true => Ok(()),
        false => Err(RecordError::Form("not one sum per 256 KiB of body")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_do_not_depend_on_the_pieces() {
        let body: Vec<u8> = (0..BODY_SUM_CHUNK * 2 + 5)
            .map(|i| (i % 251) as u8)
            .collect();
        let mut sums = BodySums::default();
        body.chunks(1000).for_each(|piece| sums.add(piece));
        let sums = sums.finish();
        assert_eq!(sums, body_sums([&Bytes::from(body.clone())]));
        let each: Vec<u64> = body.chunks(BODY_SUM_CHUNK).map(xxh3_64).collect();
        assert_eq!(sums, each);
        assert!(BodySums::default().finish().is_empty());
    }
}
