//! Gives back the space of what was delivered.
//!
//! Segments go oldest first: then no segment that is kept says of an entry less than one that
//! went. An old segment in which little is alive is emptied by writing that little at the end.

use kit::task::NoAnswer;
use segments::LogError;

use crate::spool::body::BodyError;
use crate::spool::queue::{Entry, EntryId};
use crate::spool::store::Spool;

/// Why space was not given back.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReclaimError {
    /// The log takes nothing now, or no more.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A message that is to be written forward cannot be read.
    #[error("entry {0} cannot be read, and stays where it is until it is removed: {1}")]
    Body(EntryId, BodyError),
    /// The removal of a segment did not end.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
}

impl Spool {
    /// Removes sealed segments in which nothing is alive, from the oldest on; gives how many.
    /// Where more is dead than alive, what is alive in the oldest is first written forward.
    pub(super) async fn reclaim(&self) -> Result<usize, ReclaimError> {
        let mut removed = 0;
        self.seal_if_dead().await?;
        loop {
            let segments = self.log().segments();
            let Some(oldest) = segments.first().filter(|segment| segment.sealed) else {
                return Ok(removed);
            };
            let Some(alive) = self.in_segment(oldest.id) else {
                return Ok(removed);
            };
            let goes = alive.is_empty() || (self.mostly_dead() && self.has_room_for(&alive).await);
            if !goes {
                return Ok(removed);
            }
            for entry in alive {
                let body = self.body(&entry).whole().await;
                let body = body.map_err(|error| ReclaimError::Body(entry.id, error))?;
                self.rewrite(entry.id, body).await?;
            }
            // Nothing enters a sealed segment, so what was alive in it has moved or is done.
            let (log, id) = (self.log(), oldest.id);
            kit::task::blocking(move || log.remove_segment(id)).await??;
            removed += 1;
        }
    }

    /// Ends the segment being written when nothing at all is alive and it is half full.
    async fn seal_if_dead(&self) -> Result<(), ReclaimError> {
        let dead = self.counts().entries == 0;
        if dead && self.disk_bytes() > self.config().segment_bytes / 2 {
            self.log().seal()?.await?;
        }
        Ok(())
    }

    /// Whether these can be written again, which must not be what fills the volume: half of what is
    /// free is for others.
    async fn has_room_for(&self, entries: &[Entry]) -> bool {
        let octets: u64 = entries.iter().map(Entry::bytes).sum();
        octets <= self.look().await.free / 2
    }

    /// Whether more than half of the disk used is dead, by at least a segment.
    fn mostly_dead(&self) -> bool {
        let alive = self.counts().bytes;
        let dead = self.disk_bytes().saturating_sub(alive);
        dead > alive && dead > self.config().segment_bytes
    }
}
