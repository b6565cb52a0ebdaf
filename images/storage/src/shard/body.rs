//! Reads stored messages back: verified, a bounded piece at a time.

use std::sync::Arc;

use bytes::Bytes;
use segments::{Log, Position};
use xxhash_rust::xxh3::xxh3_64;

use crate::records::proto::MessageRow;
use crate::records::{BODY_SUM_CHUNK, Entry, RecordError};

/// Why a message cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The heap cannot be read there.
    #[error(transparent)]
    Heap(#[from] segments::ReadError),
    /// What is there is not a record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The index and the heap disagree, or the body has changed on disk.
    #[error("the message at {at} is damaged: {what}")]
    Damaged {
        /// The record.
        at: Position,
        /// How.
        what: &'static str,
    },
}

impl BodyError {
    /// Whether what is stored is not what was written; otherwise a later try may succeed.
    pub fn is_damage(&self) -> bool {
        !matches!(self, Self::Heap(segments::ReadError::Io { .. }))
    }
}

/// One stored message, to be read. A small one is kept whole once it was read; of a large one
/// only its sums are.
pub struct StoredMessage {
    log: Log,
    row: Arc<MessageRow>,
    at: Position,
    state: State,
}

enum State {
    Unread,
    /// Prefix and body; also in one piece, unless other targets' prefixes are between.
    Whole {
        prefix: Bytes,
        body: Bytes,
        both: Option<Bytes>,
    },
    /// The body is read piece by piece.
    Parts {
        prefix: Bytes,
        sums: Vec<u64>,
    },
}

impl StoredMessage {
    /// The message of an index row.
    pub fn new(log: Log, row: Arc<MessageRow>) -> Self {
        let at = row.at.unwrap_or_default().into();
        Self {
            log,
            row,
            at,
            state: State::Unread,
        }
    }

    /// Octets of prefix and body.
    pub fn size(&self) -> u64 {
        self.row
            .body_length
            .saturating_add(self.row.prefix_length.into())
    }

    /// The prefix. Blocks.
    pub fn prefix(&mut self) -> Result<Bytes, BodyError> {
        match self.state()? {
            State::Whole { prefix, .. } | State::Parts { prefix, .. } => Ok(prefix.clone()),
            State::Unread => Ok(Bytes::new()),
        }
    }

    /// Octets of the body from `offset` to the end of the 256 KiB that it is in; empty at the
    /// body's end. Verified. Blocks.
    pub fn body(&mut self, offset: u64) -> Result<Bytes, BodyError> {
        if offset >= self.row.body_length {
            return Ok(Bytes::new());
        }
        let chunk = offset / BODY_SUM_CHUNK as u64;
        let start = chunk * BODY_SUM_CHUNK as u64;
        let length = (self.row.body_length - start).min(BODY_SUM_CHUNK as u64) as usize;
        let skip = (offset - start) as usize;
        let sum = match self.state()? {
            State::Whole { body, .. } => {
                let start = start as usize;
                return Ok(body.slice(start + skip..start + length));
            }
            State::Parts { sums, .. } => sums.get(chunk as usize).copied(),
            State::Unread => None,
        };
        let body_at = u64::from(self.row.body_at);
        let octets = self.log.read_range(self.at, body_at + start, length)?;
        if sum != Some(xxh3_64(&octets)) {
            return Err(self.damaged("a part of its body has a wrong sum"));
        }
        Ok(octets.slice(skip..))
    }

    /// Octets of prefix and body from `offset`, at most `most`; empty at the end. Blocks.
    pub fn read(&mut self, offset: u64, most: usize) -> Result<Bytes, BodyError> {
        let prefix_length = u64::from(self.row.prefix_length);
        if let State::Whole {
            both: Some(both), ..
        } = self.state()?
        {
            let start = both
                .len()
                .min(usize::try_from(offset).unwrap_or(usize::MAX));
            let end = start.saturating_add(most).min(both.len());
            return Ok(both.slice(start..end));
        }
        let octets = match offset < prefix_length {
            true => self.prefix()?.slice(offset as usize..),
            false => self.body(offset - prefix_length)?,
        };
        Ok(octets.slice(..octets.len().min(most)))
    }

    fn state(&mut self) -> Result<&State, BodyError> {
        if matches!(self.state, State::Unread) {
            self.state = match self.row.body_length <= BODY_SUM_CHUNK as u64 {
                true => self.read_whole()?,
                false => self.read_head()?,
            };
        }
        Ok(&self.state)
    }

    fn read_whole(&self) -> Result<State, BodyError> {
        let payload = self.log.read(self.at)?.payload();
        let body_at = self.row.body_at as usize;
        let body_end = body_at + self.row.body_length as usize;
        if body_end > payload.len() {
            return Err(self.damaged("the record is shorter than the index says"));
        }
        let prefix_at = self.row.prefix_at as usize;
        let neighbours = prefix_at + self.row.prefix_length as usize == body_at;
        Ok(State::Whole {
            prefix: self.prefix_in(&payload)?,
            body: payload.slice(body_at..body_end),
            both: neighbours.then(|| payload.slice(prefix_at..body_end)),
        })
    }

    fn read_head(&self) -> Result<State, BodyError> {
        let body_at = self.row.body_at as usize;
        let head = self.log.read_range(self.at, 0, body_at)?;
        let kind = u8::try_from(self.row.kind).unwrap_or(0);
        let sums = match Entry::decode(kind, &head)?.entry {
            Entry::Message(message) => message.body_sums,
            Entry::Imported(imported) => imported.body_sums,
            _ => return Err(self.damaged("it is not a message")),
        };
        Ok(State::Parts {
            prefix: self.prefix_in(&head)?,
            sums,
        })
    }

    fn prefix_in(&self, octets: &Bytes) -> Result<Bytes, BodyError> {
        let start = self.row.prefix_at as usize;
        let end = start + self.row.prefix_length as usize;
        match end <= octets.len() {
            true => Ok(octets.slice(start..end)),
            false => Err(self.damaged("its prefix is not in the record")),
        }
    }

    fn damaged(&self, what: &'static str) -> BodyError {
        BodyError::Damaged { at: self.at, what }
    }
}
