//! Collects a body that streams in.

use std::io::Write as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::OwnedSemaphorePermit;

use super::{Body, BodyStore, PART, Tail, Taken};

/// Collects one body. After [`BodyWriter::push`]es call [`BodyWriter::settle`].
#[derive(Debug)]
pub struct BodyWriter {
    store: Arc<BodyStore>,
    head: Vec<Bytes>,
    /// Octets in `head`.
    kept: usize,
    /// The part that is being filled.
    part: BytesMut,
    memory: Option<OwnedSemaphorePermit>,
    tail: Option<Tail>,
    given_up: bool,
}

impl BodyWriter {
    /// An empty body; `expected` is how large it may become, to reserve at once what fits.
    pub fn new(store: Arc<BodyStore>, expected: usize) -> Self {
        let part = BytesMut::with_capacity(expected.clamp(8 * 1024, PART));
        Self {
            store,
            head: Vec::new(),
            kept: 0,
            part,
            memory: None,
            tail: None,
            given_up: false,
        }
    }

    /// Takes octets; they are dropped once there was no room.
    pub fn push(&mut self, octets: &[u8]) {
        if !self.given_up {
            self.part.extend_from_slice(octets);
        }
    }

    /// Drops what it has and all that comes.
    pub fn give_up(&mut self) {
        self.given_up = true;
        self.head = Vec::new();
        self.part = BytesMut::new();
        self.memory = None;
        self.tail = None;
    }

    /// Whether there was no room for it.
    pub fn has_given_up(&self) -> bool {
        self.given_up
    }

    /// Accounts for what was pushed, and moves full parts to where they stay.
    pub async fn settle(&mut self) {
        if self.given_up {
            return;
        }
        while self.part.len() >= PART {
            let part = self.part.split_to(PART).freeze();
            self.place(part).await;
        }
        if !self.given_up && self.tail.is_none() && !self.reserve(self.kept + self.part.len()) {
            let part = self.part.split().freeze();
            self.write(part).await;
        }
    }

    /// The whole body; none when there was no room for it.
    pub async fn finish(mut self) -> Option<Body> {
        self.settle().await;
        let part = self.part.split().freeze();
        if !part.is_empty() {
            self.place(part).await;
        }
        if self.given_up {
            return None;
        }
        let (head, tail, _memory) = (self.head, self.tail, self.memory);
        Some(Body::taken(Taken {
            head,
            tail,
            _memory,
        }))
    }

    async fn place(&mut self, part: Bytes) {
        let total = self.kept + part.len();
        let fits = self.tail.is_none() && total <= self.store.per_body();
        if fits && self.reserve(total) {
            self.kept = total;
            self.head.push(part);
        } else {
            self.write(part).await;
        }
    }

    /// Whether memory for `total` octets is reserved.
    fn reserve(&mut self, total: usize) -> bool {
        let held = self
            .memory
            .as_ref()
            .map_or(0, |permit| permit.num_permits() * 1024);
        if total <= held {
            return true;
        }
        let Some(more) = self.store.reserve_memory(total - held) else {
            return false;
        };
        match &mut self.memory {
            Some(permit) => permit.merge(more),
            None => self.memory = Some(more),
        }
        true
    }

    async fn write(&mut self, part: Bytes) {
        if self.given_up {
            return;
        }
        let Some(disk) = self.store.reserve_disk(part.len()) else {
            return self.give_up();
        };
        let (store, tail) = (self.store.clone(), self.tail.take());
        let written = kit::task::blocking(move || append(&store, tail, &part, disk)).await;
        match written {
            Ok(Ok(tail)) => self.tail = Some(tail),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a body cannot be kept in the spool's volume");
                self.give_up();
            }
            Err(_) => self.give_up(),
        }
    }
}

fn append(
    store: &BodyStore,
    tail: Option<Tail>,
    part: &[u8],
    disk: OwnedSemaphorePermit,
) -> std::io::Result<Tail> {
    let mut tail = match tail {
        Some(mut tail) => {
            tail._disk.merge(disk);
            tail
        }
        None => Tail {
            file: store.create()?,
            octets: 0,
            _disk: disk,
        },
    };
    tail.file.write_all(part)?;
    tail.octets += part.len() as u64;
    Ok(tail)
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;

    use super::*;

    const PER_BODY: usize = 2 * PART;

    fn taken(body: &Body) -> &Taken {
        match &body.0 {
            crate::body::Source::Taken(taken) => taken,
            crate::body::Source::Spooled(_) => panic!("no spool here"),
        }
    }

    fn octets(count: usize) -> Vec<u8> {
        (0..count).map(|at| (at % 251) as u8).collect()
    }

    async fn written(store: &Arc<BodyStore>, content: &[u8]) -> Option<Body> {
        let mut writer = BodyWriter::new(store.clone(), 0);
        for piece in content.chunks(100_000) {
            writer.push(piece);
            writer.settle().await;
        }
        writer.finish().await
    }

    async fn read(body: &Body) -> Vec<u8> {
        let parts: Vec<Bytes> = body.parts().try_collect().await.unwrap();
        assert!(
            parts
                .iter()
                .all(|part| !part.is_empty() && part.len() <= PART)
        );
        parts.concat()
    }

    #[tokio::test]
    async fn bodies_come_back_from_memory_and_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = BodyStore::open(folder.path(), 1 << 30, 1 << 30, PER_BODY).unwrap();
        for size in [
            0,
            1,
            PART - 1,
            PART,
            PART + 1,
            PER_BODY,
            PER_BODY + 1,
            5 * PART + 7,
        ] {
            let content = octets(size);
            let body = written(&store, &content).await.unwrap();
            assert_eq!(body.size(), size as u64);
            assert_eq!(taken(&body).tail.is_some(), size > PER_BODY, "{size}");
            assert!(read(&body).await == content, "{size}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn without_memory_the_file_serves() {
        let folder = tempfile::tempdir().unwrap();
        let store = BodyStore::open(folder.path(), 0, 1 << 30, PER_BODY).unwrap();
        let content = octets(3 * PART);
        let body = written(&store, &content).await.unwrap();
        assert!(taken(&body).head.is_empty());
        assert!(read(&body).await == content);
    }

    #[tokio::test]
    async fn budgets_are_kept_and_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = BodyStore::open(folder.path(), 4096, 4096, PER_BODY).unwrap();
        let first = written(&store, &octets(4096)).await.unwrap();
        let second = written(&store, &octets(4096)).await.unwrap();
        assert!(written(&store, &octets(1)).await.is_none());
        drop((first, second));
        assert!(written(&store, &octets(1)).await.is_some());
        assert!(written(&store, &octets(9000)).await.is_none());
    }
}
