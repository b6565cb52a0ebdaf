//! A message's octets while its transaction lasts: in memory, then in an unsynced file.
//!
//! Nothing here is durable: until the 250 the sender has the message, and before the 250 it is
//! synced at its shards or in the spool. What the spool hands back is read from there.

mod store;
mod writer;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::OwnedSemaphorePermit;

use crate::spool;

pub use store::BodyStore;
pub use writer::BodyWriter;

/// Octets of one part: what a `DeliverPart` may hold (shard.proto).
pub const PART: usize = 256 * 1024;

/// A whole body; cheap to clone. The last clone frees its memory and its file.
#[derive(Clone)]
pub struct Body(Source);

#[derive(Clone)]
enum Source {
    Taken(Arc<Taken>),
    Spooled(spool::Body),
}

/// What came in by a session.
#[derive(Debug)]
struct Taken {
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
    fn taken(taken: Taken) -> Self {
        Self(Source::Taken(Arc::new(taken)))
    }

    /// A body that the spool holds.
    pub fn spooled(body: spool::Body) -> Self {
        Self(Source::Spooled(body))
    }

    /// Its octets.
    pub fn size(&self) -> u64 {
        match &self.0 {
            Source::Taken(taken) => {
                let head: usize = taken.head.iter().map(Bytes::len).sum();
                head as u64 + taken.tail_octets()
            }
            Source::Spooled(body) => body.length(),
        }
    }

    /// Its parts in order, each of at most [`PART`] octets.
    pub fn parts(&self) -> BoxStream<'static, std::io::Result<Bytes>> {
        match &self.0 {
            Source::Taken(taken) => {
                let head = stream::iter(taken.head.clone()).map(Ok);
                let offsets = stream::iter((0..taken.tail_octets()).step_by(PART));
                let taken = taken.clone();
                let tail = offsets.then(move |offset| read_tail(taken.clone(), offset));
                head.chain(tail).boxed()
            }
            Source::Spooled(body) => {
                let body = body.clone();
                let offsets = stream::iter((0..body.length()).step_by(spool::CHUNK));
                let read = move |offset| {
                    let body = body.clone();
                    async move { body.chunk(offset).await.map_err(std::io::Error::other) }
                };
                offsets.then(read).boxed()
            }
        }
    }
}

impl Taken {
    fn tail_octets(&self) -> u64 {
        self.tail.as_ref().map_or(0, |tail| tail.octets)
    }
}

async fn read_tail(taken: Arc<Taken>, offset: u64) -> std::io::Result<Bytes> {
    let read = move || {
        let Some(tail) = &taken.tail else {
            return Ok(Bytes::new());
        };
        let length = (tail.octets - offset).min(PART as u64) as usize;
        let mut part = BytesMut::zeroed(length);
        tail.file.read_exact_at(&mut part, offset)?;
        Ok(part.freeze())
    };
    kit::task::blocking(read)
        .await
        .map_err(std::io::Error::other)?
}
