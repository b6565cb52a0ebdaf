//! What the log keeps.

use bytes::{Bytes, BytesMut};

/// Most octets of one record's payload: the largest message MX may be set to take, with room for
/// what a shard or the spool adds.
pub const MAX_PAYLOAD: usize = 80 << 20;

/// One record: written whole or not at all. The log does not look into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What the payload is; a number of the user's choice.
    pub kind: u8,
    /// The payload, in pieces that are written one after another and never copied together.
    pub parts: Vec<Bytes>,
}

impl Record {
    /// A record whose payload is in one piece.
    pub fn new(kind: u8, payload: impl Into<Bytes>) -> Self {
        Self {
            kind,
            parts: vec![payload.into()],
        }
    }

    /// Octets of the payload.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    /// Whether the payload has no octets.
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(Bytes::is_empty)
    }

    /// The payload in one piece; copies only what is in several.
    pub fn payload(&self) -> Bytes {
        match self.parts.as_slice() {
            [] => Bytes::new(),
            [whole] => whole.clone(),
            parts => {
                let mut joined = BytesMut::with_capacity(self.len());
                parts.iter().for_each(|part| joined.extend_from_slice(part));
                joined.freeze()
            }
        }
    }
}
