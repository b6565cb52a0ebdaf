//! Opening the log again after it failed, while everything else goes on.
//!
//! The queue in memory stays: it has what was acknowledged and all that has become of it since.
//! The log that is recovered may have less of the latter, and more mail than was acknowledged:
//! what a failed sync left, whose senders were told to try again. So it is told the difference
//! before it is used.

use segments::{Log, LogError, Record};

use crate::spool::queue::{Event, Lost, Queue, difference};
use crate::spool::record;
use crate::spool::store::open::{options, recover};
use crate::spool::store::{OpenError, Spool};

/// Records written in one go; the log's queue takes as many easily.
const BATCH: usize = 1000;

/// Why the log stays closed for now.
#[derive(Debug, thiserror::Error)]
pub(in crate::spool) enum NotReopened {
    /// It would fail again.
    #[error("the volume has no room yet")]
    NoRoom,
    /// Somebody has still to be told how the old log answered.
    #[error("the old log is still in use")]
    InUse,
    /// It does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It failed again.
    #[error(transparent)]
    Log(#[from] LogError),
    /// It is not what was written.
    #[error(transparent)]
    Lost(#[from] Lost),
}

impl Spool {
    /// Recovers the log from the disk, if it failed and there is room again, and goes on with it.
    /// Must not run together with reclaiming. Blocks.
    pub(in crate::spool) fn reopen(&self) -> Result<(), NotReopened> {
        let old = self.log();
        if !old.failed() {
            return Ok(());
        }
        old.stop();
        if self.is_too_full(self.look_now(), 0) {
            return Err(NotReopened::NoRoom);
        }
        // A failed log takes nothing, so once nothing is on its way, nothing will be.
        if !self.lock().coming.is_empty() {
            return Err(NotReopened::InUse);
        }
        let (log, recorded) = recover(&self.inner.disk, &options(&self.inner.config))?;
        self.go_on_with(&log, recorded)?;
        self.tell();
        Ok(())
    }

    /// Tells the log what it does not know, and puts it in place of the old one as soon as what is
    /// left of that is little enough to be written while nobody else gets at the queue.
    fn go_on_with(&self, log: &Log, mut recorded: Queue) -> Result<(), NotReopened> {
        loop {
            let state = self.lock();
            let news = difference(&state.queue, &recorded)?;
            if news.len() <= BATCH {
                let tickets = submit(log, &news)?;
                self.replace_log(log.clone());
                drop(state);
                return Ok(wait(tickets)?);
            }
            drop(state);
            for batch in news.chunks(BATCH) {
                wait(submit(log, batch)?)?;
            }
            news.into_iter().for_each(|event| recorded.apply(event));
        }
    }
}

fn submit(log: &Log, events: &[Event]) -> Result<Vec<segments::Ticket>, LogError> {
    let records = events.iter().map(record::event);
    records.map(|record: Record| log.submit(record)).collect()
}

fn wait(tickets: Vec<segments::Ticket>) -> Result<(), LogError> {
    for ticket in tickets {
        ticket.wait()?;
    }
    Ok(())
}
