//! Opening: the log is replayed, the last process's leases are void.

use std::collections::BTreeSet;
use std::sync::{Arc, mpsc};

use segments::{Disk, Log, Position, Record, VisitError};

use super::apply::{Done, apply};
use super::carry::Carrier;
use super::engine::Engine;
use super::history::History;
use super::index::{Hasher, Index, Place};
use super::journal::Journal;
use super::options::Options;
use super::shared::Shared;
use crate::store::{Error, Key, Revision};

/// An open store, before its threads run.
pub(super) struct Opened {
    pub(super) engine: Engine,
    pub(super) submitted: mpsc::Receiver<super::apply::Submitted>,
}

/// What a replay gathers.
struct Replay {
    hasher: Hasher,
    index: Index,
    head: Revision,
    /// Keys that were put with a lease.
    leased: BTreeSet<Key>,
    seen: (u64, u64),
}

/// Replays the log. Blocks.
pub(super) fn open(disk: Arc<dyn Disk>, options: &Options) -> Result<Opened, Error> {
    let mut replay = Replay {
        hasher: Hasher::new(),
        index: Index::default(),
        head: Revision(0),
        leased: BTreeSet::new(),
        seen: (0, 0),
    };
    let log_options = segments::Options {
        segment_bytes: options.segment_bytes,
        ..segments::Options::default()
    };
    let mut visit = |position, record| replay.visit(position, &record);
    let log = Log::open(disk, log_options, None, &mut visit)
        .map_err(|error| Error::Failed(error.to_string()))?;
    Ok(replay.finish(log, options))
}

impl Replay {
    fn visit(&mut self, position: Position, record: &Record) -> Result<(), VisitError> {
        let place = Place::new(position)?;
        let journal = Journal::read(record)?;
        self.head = self.head.max(journal.revision);
        for item in journal.items {
            self.index.set(self.hasher.hash(&item.key), place);
            self.seen.0 += (item.key.len() + item.value.len()) as u64;
            self.seen.1 += 1;
            match item.leased {
                true => drop(self.leased.insert(item.key)),
                false => drop(self.leased.remove(&item.key)),
            }
        }
        for key in journal.deletes {
            self.index.remove(self.hasher.hash(&key));
            self.leased.remove(&key);
        }
        Ok(())
    }

    fn finish(self, log: Log, options: &Options) -> Opened {
        let (transactions, bytes) = (options.history_transactions, options.history_bytes);
        let history = History::new(self.head, transactions, bytes);
        let shared = Arc::new(Shared::new(self.hasher, self.index, history, self.head));
        let (sender, submitted) = mpsc::channel();
        let carrier = Carrier::new(options.reclaim_bytes, self.seen);
        let mut engine = Engine::new(log, shared, sender, carrier, self.leased);
        engine.delete_doomed(Done::Nobody);
        while let Ok(next) = submitted.try_recv() {
            apply(&engine.shared, next);
        }
        Opened { engine, submitted }
    }
}
