//! Reading values back: of some keys, of all, and of what was just committed.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use segments::Log;
use tokio::sync::watch;

use super::index::{KeyHash, Place, Slot};
use super::journal::{self, Journal};
use super::shared::Shared;
use crate::store::{Changes, Entry, Error, Key, Load, Revision};

/// A key's place changes when its segment is reclaimed; not so often while one read goes on.
const RETRIES: usize = 16;

/// Entries of one page of a load, about.
const PAGE: usize = 8192;

/// Transactions that a watch takes at a time.
const BATCH: usize = 64;

/// The entries of some keys, all at one revision. Blocks.
pub(super) fn get(log: &Log, shared: &Shared, keys: &[Key]) -> Result<Vec<Option<Entry>>, Error> {
    let hashes: Vec<_> = keys.iter().map(|key| shared.hasher.hash(key)).collect();
    for _ in 0..RETRIES {
        shared.check()?;
        let places = shared.places(&hashes);
        let pairs = keys.iter().zip(places);
        let read: Result<Option<Vec<_>>, Error> =
            pairs.map(|(key, place)| get_one(log, key, place)).collect();
        if let Some(entries) = read? {
            return Ok(entries);
        }
    }
    Err(Error::Unavailable("what was read keeps moving".to_owned()))
}

/// None: the segment has gone, and the entry is elsewhere.
fn get_one(log: &Log, key: &str, place: Option<Place>) -> Result<Option<Option<Entry>>, Error> {
    let Some(place) = place else {
        return Ok(Some(None));
    };
    let Some(journal) = journal::read_at(log, place)? else {
        return Ok(None);
    };
    let item = journal.items.into_iter().find(|item| item.key == key);
    Ok(Some(item.map(journal::entry)))
}

/// Everything at the newest revision; what is read later is pinned meanwhile.
pub(super) fn load(log: Log, shared: Arc<Shared>) -> Load {
    let pin = shared.pin();
    let (revision, slots) = shared.everything();
    let pager = Pager {
        log,
        shared,
        slots: Arc::new(slots),
        next: 0,
        _pin: pin,
    };
    Load {
        revision,
        pages: stream::try_unfold(pager, Pager::next).boxed(),
    }
}

struct Pager {
    log: Log,
    shared: Arc<Shared>,
    /// In the order of the log, so that each record is read once and the disk is read forwards.
    slots: Arc<Vec<Slot>>,
    next: usize,
    _pin: Arc<()>,
}

impl Pager {
    async fn next(self) -> Result<Option<(Vec<Entry>, Self)>, Error> {
        if self.next >= self.slots.len() {
            return Ok(None);
        }
        kit::task::blocking(move || self.page()).await?.map(Some)
    }

    fn page(mut self) -> Result<(Vec<Entry>, Self), Error> {
        self.shared.check()?;
        let mut page = Vec::with_capacity(PAGE);
        while let Some(first) = self.slots.get(self.next).filter(|_| page.len() < PAGE) {
            let place = first.place;
            let rest = &self.slots[self.next..];
            let here = rest.iter().take_while(|slot| slot.place == place).count();
            let journal = journal::read_at(&self.log, place)?
                .ok_or_else(|| Error::Failed("a pinned segment is gone".to_owned()))?;
            self.take(journal, &rest[..here], &mut page);
            self.next += here;
        }
        Ok((page, self))
    }

    fn take(&self, journal: Journal, living: &[Slot], page: &mut Vec<Entry>) {
        // Many entries of one record: found by search, not by one pass for each.
        let mut hashes: Vec<KeyHash> = living.iter().map(|slot| slot.hash).collect();
        hashes.sort_unstable();
        let lives = |key: &str| hashes.binary_search(&self.shared.hasher.hash(key)).is_ok();
        let living = journal.items.into_iter().filter(|item| lives(&item.key));
        page.extend(living.map(journal::entry));
    }
}

/// What is committed after a revision.
pub(super) fn watch(
    shared: Arc<Shared>,
    after: Revision,
) -> BoxStream<'static, Result<Changes, Error>> {
    let cursor = Cursor {
        head: shared.subscribe(),
        shared,
        after,
        ready: VecDeque::new(),
        ended: false,
    };
    stream::unfold(cursor, Cursor::next).boxed()
}

struct Cursor {
    shared: Arc<Shared>,
    head: watch::Receiver<Revision>,
    after: Revision,
    ready: VecDeque<Changes>,
    ended: bool,
}

impl Cursor {
    async fn next(mut self) -> Option<(Result<Changes, Error>, Self)> {
        if self.ended {
            return None;
        }
        loop {
            if let Some(changes) = self.ready.pop_front() {
                self.after = changes.revision;
                return Some((Ok(changes), self));
            }
            if let Err(error) = self.fill() {
                self.ended = true;
                return Some((Err(error), self));
            }
            if self.ready.is_empty() {
                // The sender lives in `shared`.
                let _ = self.head.changed().await;
            }
        }
    }

    fn fill(&mut self) -> Result<(), Error> {
        self.head.borrow_and_update();
        self.ready = self.shared.after(self.after, BATCH)?.into();
        match self.ready.is_empty() {
            true => self.shared.check(),
            false => Ok(()),
        }
    }
}
