//! Dropping dead letters.

use segments::LogError;

use crate::spool::queue::{Entry, EntryId, Event};
use crate::spool::record;
use crate::spool::store::Spool;

/// Why an entry was not removed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotRemoved {
    /// It is not there, or no longer.
    #[error("the spool has no entry {0}")]
    Gone(EntryId),
    /// Somebody may get it yet.
    #[error(
        "entry {0} is still tried for {1} of its recipients, and only dead letters are removed: \
         wait until it is delivered or given up, or try it now with `buzonera spool retry {0}`"
    )]
    Tried(EntryId, usize),
    /// The log takes nothing now, or what it has of this is not certain.
    #[error("it is not certain that entry {0} is removed: {1}")]
    Log(EntryId, LogError),
}

impl Spool {
    /// Drops a dead letter for good, and gives it as it was; returns when that is durable.
    pub async fn remove(&self, id: EntryId) -> Result<Entry, NotRemoved> {
        let failed = |error| NotRemoved::Log(id, error);
        let (entry, ticket) = {
            let mut state = self.lock();
            let entry = state.queue.get(id).ok_or(NotRemoved::Gone(id))?;
            let tried = entry.targets.iter().filter(|target| !target.is_dead());
            match tried.count() {
                0 => {}
                some => return Err(NotRemoved::Tried(id, some)),
            }
            let (entry, event) = (entry.clone(), Event::Removed(id));
            let ticket = self.log().submit(record::event(&event)).map_err(failed)?;
            // At once, as every event: nothing that follows it in the log comes before it here.
            state.queue.apply(event);
            (entry, ticket)
        };
        ticket.await.map_err(failed).inspect_err(|_| self.tell())?;
        // Its segment may be all that keeps others.
        self.inner.short.notify_one();
        Ok(entry)
    }
}
