//! The log itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::committer::Committer;
use crate::committer::queue::{Queue, Work};
use crate::disk::{Disk, DiskFile};
use crate::error::{LogError, OpenError, ReadError, VisitError};
use crate::format::manifest::{Manifest, WriteFault};
use crate::format::segment;
use crate::options::Options;
use crate::position::{Position, Tip};
use crate::reader::Reader;
use crate::record::{MAX_PAYLOAD, Record};
use crate::recovery::{Recovered, log_id, recover};
use crate::segments::{SegmentInfo, Segments};
use crate::ticket::Ticket;

/// Sees one record during [`Log::open`].
pub type Visit<'a> = dyn FnMut(Position, Record) -> Result<(), VisitError> + 'a;

/// What an open log did so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Groups of records written, each with one sync.
    pub groups: u64,
    /// Records written.
    pub records: u64,
    /// Octets of payloads written.
    pub bytes: u64,
    /// Time spent in their syncs.
    pub sync_time: Duration,
}

/// An append-only log. Cheap to clone; the last clone dropped writes what still waits, and closes.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

/// What users and the committer share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) queue: Queue,
    pub(crate) counters: Arc<Counters>,
    segments: RwLock<Segments>,
    /// The last field: a folder is let go when all its files are closed.
    pub(crate) disk: Arc<dyn Disk>,
}

/// What [`Stats`] is read from. It outlives the log, and keeps nothing of it open.
#[derive(Debug, Default)]
pub struct Counters {
    sync_nanos: AtomicU64,
    groups: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
}

impl Counters {
    /// What was done since the log was opened.
    pub fn stats(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            groups: get(&self.groups),
            records: get(&self.records),
            bytes: get(&self.bytes),
            sync_time: Duration::from_nanos(get(&self.sync_nanos)),
        }
    }

    /// Counts a group of records that is durable.
    pub(crate) fn count(&self, records: &[Record], sync_time: Duration) {
        let bytes: usize = records.iter().map(Record::len).sum();
        let add = |counter: &AtomicU64, n: u64| counter.fetch_add(n, Ordering::Relaxed);
        add(&self.sync_nanos, sync_time.as_nanos() as u64);
        add(&self.groups, 1);
        add(&self.records, records.len() as u64);
        add(&self.bytes, bytes as u64);
    }
}

struct Inner {
    shared: Arc<Shared>,
    manifest: Mutex<Manifest>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Log {
    /// Opens the log on `disk`, or makes one. A torn tail is cut; damage to what may have been
    /// acknowledged is an error that names file, offset and reason, and changes nothing.
    ///
    /// `visit` sees every record in order; with `from`, those at it and after it. `from` is a
    /// record's position or an earlier [`Log::end`]; of segments before it only the ends are
    /// checked. [`OpenError::BadCheckpoint`] says that it does not fit this log. Who gives the
    /// position of the last record it has must see that very record come first: at the end of a
    /// log that was cut there, nothing comes.
    ///
    /// The last group is visited when it was written again where it is and synced: whoever saw it
    /// may count on it.
    ///
    /// Blocks; reads the whole log, or all from the start of the segment of `from`.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: Options,
        from: Option<Position>,
        visit: &mut Visit<'_>,
    ) -> Result<Self, OpenError> {
        let Recovered {
            manifest,
            sealed,
            tail,
        } = recover(&*disk, from, visit)?;
        let shared = Arc::new(Shared {
            queue: Queue::new(options.clone()),
            options,
            counters: Arc::default(),
            segments: RwLock::new(Segments::new(sealed, &tail)),
            disk,
        });
        let mut committer = Committer {
            shared: Arc::clone(&shared),
            tail,
            unproven: false,
        };
        if !shared.options.quiet {
            committer.mark()?;
        }
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || committer.run())
            .map_err(OpenError::io("start", "the committer thread"))?;
        let inner = Inner {
            shared,
            manifest: Mutex::new(manifest),
            thread: Mutex::new(Some(thread)),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Queues one record; its ticket resolves after the sync of its group. Records get positions
    /// in the order of these calls. Does not block.
    pub fn submit(&self, record: Record) -> Result<Ticket, LogError> {
        let length = record.len();
        if length > MAX_PAYLOAD {
            return Err(LogError::TooLarge(length));
        }
        self.inner.shared.queue.push(Work::Append(record))
    }

    /// Starts a new segment after all submitted so far; the ticket has its start. Does not block.
    pub fn seal(&self) -> Result<Ticket, LogError> {
        self.inner.shared.queue.push(Work::Seal)
    }

    /// Reads a record and verifies its checksum. Blocks.
    pub fn read(&self, at: Position) -> Result<Record, ReadError> {
        let (file, seed) = self.file(at)?;
        let file = &*file;
        Reader { file, seed, at }.record()
    }

    /// Reads octets `start..start + length` of a record's payload. Blocks. The checksum is
    /// verified only when that is the whole payload.
    pub fn read_range(&self, at: Position, start: u64, length: usize) -> Result<Bytes, ReadError> {
        let (file, seed) = self.file(at)?;
        let file = &*file;
        Reader { file, seed, at }.range(start, length)
    }

    /// Verifies a record's checksum without keeping the record in memory. Blocks. What
    /// [`Log::read_range`] gives afterwards comes from what was just read.
    pub fn verify(&self, at: Position) -> Result<(), ReadError> {
        let (file, seed) = self.file(at)?;
        let file = &*file;
        Reader { file, seed, at }.verify_all()
    }

    /// Every segment, in order; the last is the one written to.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.inner.shared.segments().info()
    }

    /// Removes a sealed segment: durably recorded first, then unlinked. A segment already removed
    /// is no error. Blocks.
    pub fn remove_segment(&self, id: u64) -> Result<(), LogError> {
        let shared = &self.inner.shared;
        let mut manifest = self.inner.manifest.lock();
        if let Some(failure) = shared.queue.failure() {
            return Err(failure);
        }
        if manifest.is_removed(id) {
            return Ok(());
        }
        match shared.segments().get(id) {
            None => return Err(LogError::NoSuchSegment(id)),
            Some(known) if !known.sealed => return Err(LogError::NotSealed(id)),
            Some(_) => {}
        }
        let next = manifest.with_removed(id);
        next.write(&*shared.disk).map_err(|fault| match fault {
            WriteFault::Harmless(error) => LogError::Manifest(error.to_string().into()),
            WriteFault::Fatal(error) => {
                let failed = LogError::failed("recording a removal", &error);
                shared.queue.fail(&failed);
                failed
            }
        })?;
        *manifest = next;
        shared.segments_mut().remove(id);
        // The removal is recorded: should this not last, the next opening does it again.
        if let Err(error) = shared.disk.remove(&segment::name(id)) {
            tracing::warn!(segment = id, %error, "could not unlink a removed segment");
        }
        Ok(())
    }

    /// The id of the log on `disk`; `None` if none was made yet. Blocks.
    pub fn id_on(disk: &dyn Disk) -> Result<Option<u64>, OpenError> {
        log_id(disk)
    }

    /// The log's id, random.
    pub fn id(&self) -> u64 {
        self.inner.manifest.lock().log
    }

    /// The end of what is durable, and the checksum of the last header before it: two logs of the
    /// same id and tip have the same records.
    pub fn tip(&self) -> Tip {
        self.inner.shared.segments().tip()
    }

    /// The end of what is durable.
    pub fn end(&self) -> Position {
        self.inner.shared.segments().end()
    }

    /// Whether a write or sync failed: then nothing more is taken until the log is opened again.
    pub fn failed(&self) -> bool {
        self.inner.shared.queue.failure().is_some()
    }

    /// Takes no more records, writes what still waits unless it has failed, and returns when its
    /// thread has ended. A log that has failed will then change nothing on the disk any more, so
    /// that it may be opened anew; what is durable can be read from either. Blocks.
    pub fn stop(&self) {
        self.inner.stop();
    }

    /// What was done since the log was opened.
    pub fn stats(&self) -> Stats {
        self.inner.shared.counters.stats()
    }

    /// What [`Log::stats`] is read from, for who watches longer than the log is open.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.inner.shared.counters)
    }

    /// The file and seed of the segment that has the position, if it is durable there.
    fn file(&self, at: Position) -> Result<(Arc<dyn DiskFile>, u64), ReadError> {
        let missing = || ReadError::NoSuchSegment(at.segment);
        let shared = &self.inner.shared;
        let (file, seed) = {
            let segments = shared.segments();
            if at >= segments.end() {
                return Err(ReadError::BeyondEnd(at));
            }
            let known = segments.get(at.segment).ok_or_else(missing)?;
            (known.file.clone(), known.seed)
        };
        if let Some(file) = file {
            return Ok((file, seed));
        }
        let file = shared
            .segments_mut()
            .reopen(&*shared.disk, at.segment)
            .map_err(|source| ReadError::Io { at, source })?;
        Ok((file.ok_or_else(missing)?, seed))
    }
}

impl Shared {
    pub(crate) fn segments_mut(&self) -> RwLockWriteGuard<'_, Segments> {
        self.segments.write()
    }

    fn segments(&self) -> RwLockReadGuard<'_, Segments> {
        self.segments.read()
    }
}

impl Inner {
    fn stop(&self) {
        self.shared.queue.close();
        // Locked while it is waited for, so that a second caller waits too.
        let mut thread = self.thread.lock();
        if let Some(thread) = thread.take() {
            // A panic there was already reported by its thread.
            let _ = thread.join();
        }
        // A removal that began before the log failed is over; later ones are refused.
        drop(self.manifest.lock());
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}
