//! A spooled message's body, read in pieces.

use bytes::Bytes;
use kit::task::NoAnswer;
use segments::{Log, ReadError};

use crate::spool::queue::{BodyAt, Entry, EntryId};
use crate::spool::store::Spool;

/// What one read gives at most; a shard takes chunks of this size.
pub const CHUNK: usize = 256 << 10;

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The log says why.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It was not read to its end.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
}

/// A body on the spool's disk. It can be read for as long as the entry is spooled, even while
/// its record is written forward.
#[derive(Clone)]
pub struct Body {
    spool: Spool,
    id: EntryId,
    at: BodyAt,
}

impl Body {
    pub(super) fn new(spool: Spool, entry: &Entry) -> Self {
        Self {
            spool,
            id: entry.id,
            at: entry.body,
        }
    }

    /// Octets of the body.
    pub fn length(&self) -> u64 {
        self.at.length
    }

    /// The octets from `start` on: at most [`CHUNK`], none at the end.
    pub async fn chunk(&self, start: u64) -> Result<Bytes, BodyError> {
        let left = self.at.length.saturating_sub(start);
        let length = left.min(CHUNK as u64) as usize;
        if length == 0 {
            return Ok(Bytes::new());
        }
        self.blocking(move |log, at| log.read_range(at.position, at.start + start, length))
            .await
    }

    /// Whether the octets on disk are those that were spooled.
    pub async fn verify(&self) -> Result<(), BodyError> {
        self.blocking(|log, at| log.verify(at.position)).await
    }

    /// All of it, verified.
    pub(super) async fn whole(&self) -> Result<Bytes, BodyError> {
        self.blocking(|log, at| {
            let payload = log.read(at.position)?.payload();
            Ok(payload.slice(at.start as usize..))
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        read: impl Fn(&Log, BodyAt) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, BodyError> {
        let body = self.clone();
        Ok(kit::task::blocking(move || body.read(read)).await??)
    }

    /// Reads where the record is now; again, if it was written forward meanwhile.
    fn read<T>(&self, read: impl Fn(&Log, BodyAt) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let mut at = self.now_at();
        loop {
            let answer = read(&self.spool.log(), at);
            let now_at = self.now_at();
            if !matches!(answer, Err(ReadError::NoSuchSegment(_))) || now_at == at {
                return answer;
            }
            at = now_at;
        }
    }

    fn now_at(&self) -> BodyAt {
        self.spool.body_at(self.id).unwrap_or(self.at)
    }
}
