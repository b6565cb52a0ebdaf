//! A message's octets while its transaction lasts: in memory, then in an unsynced file.
//!
//! Nothing here is durable: until the 250 the sender has the message, and before the 250 it is
//! synced at its shards or in the spool.

mod store;
mod writer;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, Stream, StreamExt as _};
use tokio::sync::OwnedSemaphorePermit;

pub use store::BodyStore;
pub use writer::BodyWriter;

/// Octets of one part: what a `DeliverPart` may hold (shard.proto).
pub const PART: usize = 256 * 1024;

/// A whole body; cheap to clone. The last clone frees its memory and its file.
#[derive(Debug, Clone)]
pub struct Body(Arc<Whole>);

#[derive(Debug)]
struct Whole {
    head: Vec<Bytes>,
    tail: Option<Tail>,
    _memory: Option<OwnedSemaphorePermit>,
}

/// What did not fit into memory: a file without a name.
#[derive(Debug)]
struct Tail {
    file: File,
    octets: u64,
    _disk: OwnedSemaphorePermit,
}

impl Body {
    /// A body of these octets, which count against no budget: they are accounted for elsewhere.
    pub fn from_parts(parts: impl IntoIterator<Item = Bytes>) -> Self {
        let cut = |part: Bytes| {
            (0..part.len())
                .step_by(PART)
                .map(move |at| part.slice(at..part.len().min(at + PART)))
        };
        let head = parts.into_iter().flat_map(cut).collect();
        Self(Arc::new(Whole {
            head,
            tail: None,
            _memory: None,
        }))
    }

    /// Its octets.
    pub fn size(&self) -> u64 {
        let head: usize = self.0.head.iter().map(Bytes::len).sum();
        head as u64 + self.0.tail.as_ref().map_or(0, |tail| tail.octets)
    }

    /// Its parts in order, each of at most [`PART`] octets.
    pub fn parts(&self) -> impl Stream<Item = std::io::Result<Bytes>> + Send + use<> {
        let head = stream::iter(self.0.head.clone()).map(Ok);
        let octets = self.0.tail.as_ref().map_or(0, |tail| tail.octets);
        let offsets = stream::iter((0..octets).step_by(PART));
        let whole = self.0.clone();
        head.chain(offsets.then(move |offset| read_tail(whole.clone(), offset)))
    }
}

async fn read_tail(whole: Arc<Whole>, offset: u64) -> std::io::Result<Bytes> {
    let read = move || {
        let Some(tail) = &whole.tail else {
            return Ok(Bytes::new());
        };
        let length = (tail.octets - offset).min(PART as u64) as usize;
        let mut part = BytesMut::zeroed(length);
        tail.file.read_exact_at(&mut part, offset)?;
        Ok(part.freeze())
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(std::io::Error::other)?
}
