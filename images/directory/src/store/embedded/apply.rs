//! The thread that waits for the log's syncs, in order, and then makes visible and answers.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use segments::Ticket;

use super::engine::Reply;
use super::index::{Place, Slot};
use super::shared::Shared;
use crate::store::{Changes, Error, Outcome, Revision};

/// What was handed to the log.
pub(super) struct Submitted {
    /// None: nothing to wait for but what came before.
    pub(super) ticket: Option<Ticket>,
    pub(super) work: Work,
}

/// What to do once it is durable.
pub(super) enum Work {
    Txn(Changes, Done),
    /// Entries written again; the segment that is empty now.
    Carried(Vec<Slot>, Option<u32>),
    Conflict(Reply<Outcome>),
}

/// Who waits for a transaction.
pub(super) enum Done {
    Committed(Reply<Outcome>),
    Ended(Reply<()>),
    Nobody,
}

impl Done {
    /// It is durable. A caller that has gone away needs no answer; so below.
    fn committed(self, revision: Revision) {
        match self {
            Self::Committed(reply) => drop(reply.send(Ok(Outcome::Committed(revision)))),
            other => other.ended(),
        }
    }

    /// There was nothing to write.
    pub(super) fn ended(self) {
        if let Self::Ended(reply) = self {
            drop(reply.send(Ok(())));
        }
    }

    /// It was not, or perhaps not, written.
    pub(super) fn refuse(self, error: Error) {
        match self {
            Self::Committed(reply) => drop(reply.send(Err(error))),
            Self::Ended(reply) => drop(reply.send(Err(error))),
            Self::Nobody => {}
        }
    }
}

/// Until the engine has ended and everything is answered.
pub(super) fn run(shared: &Arc<Shared>, submitted: &Receiver<Submitted>) {
    while let Ok(next) = submitted.recv() {
        apply(shared, next);
    }
}

/// Waits for one sync. Blocks.
pub(super) fn apply(shared: &Shared, submitted: Submitted) {
    let place = submitted.ticket.map(wait).transpose();
    match (submitted.work, place) {
        (Work::Conflict(reply), _) => drop(reply.send(Ok(Outcome::Conflict))),
        (Work::Txn(changes, done), Ok(Some(place))) => {
            let revision = changes.revision;
            shared.apply(place, changes);
            done.committed(revision);
        }
        (Work::Carried(slots, emptied), Ok(Some(place))) => shared.carry(place, &slots, emptied),
        (Work::Txn(_, done), Err(error)) => {
            shared.fail(&error.to_string());
            // What is on the disk is known when the store is opened again.
            done.refuse(Error::Unknown(error.to_string()));
        }
        (Work::Carried(..), Err(error)) => shared.fail(&error.to_string()),
        (Work::Txn(..) | Work::Carried(..), Ok(None)) => shared.fail("a record has no ticket"),
    }
}

fn wait(ticket: Ticket) -> Result<Place, Error> {
    let position = ticket
        .wait()
        .map_err(|error| Error::Failed(error.to_string()))?;
    Place::new(position)
}
