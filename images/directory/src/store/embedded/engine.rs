//! The thread that decides: which transaction commits, which lease ends, what is carried.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use segments::{Log, LogError};
use tokio::sync::oneshot;

use super::apply::{Done, Submitted, Work};
use super::carry::Carrier;
use super::journal;
use super::leases::Leases;
use super::proto::{Item, Transaction};
use super::shared::{Shared, Standing};
use crate::store::{
    Change, Changes, Error, Expect, Key, LeaseId, MAX_OPERATIONS, Outcome, Revision, Txn,
};

/// A lease's end is noticed at most this late after the machine slept, since the thread's own
/// waiting does not count that time.
const TICK: Duration = Duration::from_secs(1);

/// How a caller is answered.
pub(super) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// What is asked of the engine.
pub(super) enum Request {
    Commit(Txn, Reply<Outcome>),
    Grant(Duration, Reply<LeaseId>),
    KeepAlive(LeaseId, Reply<Duration>),
    Revoke(LeaseId, Reply<()>),
}

/// What the thread owns.
pub(super) struct Engine {
    pub(super) log: Log,
    pub(super) shared: Arc<Shared>,
    /// What was handed to the log, in that order.
    pub(super) submitted: Sender<Submitted>,
    /// The newest revision given out.
    pub(super) last: Revision,
    pub(super) carrier: Carrier,
    leases: Leases,
    /// Keys whose lease has ended and that are still to be deleted.
    doomed: BTreeSet<Key>,
}

impl Engine {
    pub(super) fn new(
        log: Log,
        shared: Arc<Shared>,
        submitted: Sender<Submitted>,
        carrier: Carrier,
        doomed: BTreeSet<Key>,
    ) -> Self {
        Self {
            last: shared.head(),
            log,
            shared,
            submitted,
            carrier,
            leases: Leases::default(),
            doomed,
        }
    }

    /// Until nobody can ask any more.
    pub(super) fn run(mut self, requests: &Receiver<Request>) {
        loop {
            match requests.recv_timeout(self.pause()) {
                Ok(request) => self.answer(request),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.end_leases();
            if let Err(error) = self.carry() {
                self.shared.fail(&error.to_string());
            }
        }
    }

    fn pause(&self) -> Duration {
        let next_end = self.leases.next_end(kit::clock::boottime());
        let pause = next_end.unwrap_or(TICK).min(TICK);
        self.carrier.pause().map_or(pause, |carry| carry.min(pause))
    }

    /// A caller that has gone away needs no answer.
    fn answer(&mut self, request: Request) {
        let now = kit::clock::boottime();
        match request {
            Request::Commit(txn, reply) => self.commit(txn, reply),
            Request::Grant(ttl, reply) => {
                let id = new_lease();
                self.leases.grant(id, ttl, now);
                drop(reply.send(Ok(id)));
            }
            Request::KeepAlive(id, reply) => {
                drop(reply.send(self.leases.keep_alive(id, now)));
            }
            Request::Revoke(id, reply) => {
                let keys = self.leases.end(id);
                self.doomed.extend(keys);
                self.delete_doomed(Done::Ended(reply));
            }
        }
    }

    fn commit(&mut self, txn: Txn, reply: Reply<Outcome>) {
        match self.decide(&txn) {
            Ok(true) => drop(self.write(txn, Done::Committed(reply))),
            // Answered after what was decided before is visible, so that the caller, who reads
            // again, sees what stood in the way.
            Ok(false) => self.hand_over(Submitted {
                ticket: None,
                work: Work::Conflict(reply),
            }),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn decide(&self, txn: &Txn) -> Result<bool, Error> {
        self.shared.check()?;
        for (key, expect) in &txn.conditions {
            if !self.holds(key, *expect)? {
                return Ok(false);
            }
        }
        let now = kit::clock::boottime();
        let mut leases = txn.puts.iter().filter_map(|put| put.lease);
        match leases.all(|lease| self.leases.is_held(lease, now)) {
            true => Ok(true),
            false => Err(Error::LeaseGone),
        }
    }

    fn holds(&self, key: &str, expect: Expect) -> Result<bool, Error> {
        let standing = self.shared.standing(key);
        Ok(match (expect, standing) {
            (Expect::Absent, standing) => standing == Standing::Absent,
            (Expect::Present, standing) => standing != Standing::Absent,
            (Expect::At(_), Standing::Absent) => false,
            (Expect::At(at), Standing::Pending(revision)) => at == revision,
            (Expect::At(at), Standing::Durable(place)) => {
                // Only this thread removes segments, so the record is there.
                let journal = journal::read_at(&self.log, place)?;
                let items = journal.map_or_else(Vec::new, |journal| journal.items);
                let found = items.iter().find(|item| item.key == key);
                found.is_some_and(|item| item.revision == at.0)
            }
        })
    }

    /// Hands a transaction to the log. When that takes nothing, `done` is told, and nothing
    /// happened.
    fn write(&mut self, txn: Txn, done: Done) -> Result<(), Error> {
        let revision = Revision(self.last.0 + 1);
        let record = journal::transaction(&record(&txn, revision));
        let ticket = match self.log.submit(record) {
            Ok(ticket) => ticket,
            Err(error) => {
                let error = refused(&error);
                done.refuse(error.clone());
                return Err(error);
            }
        };
        self.last = revision;
        for put in &txn.puts {
            self.carrier.saw(put.key.len() + put.value.len());
            self.attach(&put.key, put.lease);
        }
        for key in &txn.deletes {
            self.attach(key, None);
        }
        let changes = changes(txn, revision);
        self.shared.pend(&changes);
        self.hand_over(Submitted {
            ticket: Some(ticket),
            work: Work::Txn(changes, done),
        });
        Ok(())
    }

    fn attach(&mut self, key: &Key, lease: Option<LeaseId>) {
        self.leases.attach(key, lease);
        self.doomed.remove(key);
    }

    pub(super) fn hand_over(&self, submitted: Submitted) {
        if self.submitted.send(submitted).is_err() {
            self.shared
                .fail("the thread that applies transactions is gone");
        }
    }

    fn end_leases(&mut self) {
        for lease in self.leases.over(kit::clock::boottime()) {
            let keys = self.leases.end(lease);
            self.doomed.extend(keys);
        }
        self.delete_doomed(Done::Nobody);
    }

    /// Deletes keys whose lease has ended; what the log does not take now stays for the next time.
    pub(super) fn delete_doomed(&mut self, done: Done) {
        while self.doomed.len() > MAX_OPERATIONS {
            let keys = self.doomed.iter().take(MAX_OPERATIONS).cloned().collect();
            if let Err(error) = self.write(deletes(keys), Done::Nobody) {
                return done.refuse(error);
            }
        }
        if self.doomed.is_empty() {
            return done.ended();
        }
        let keys = self.doomed.iter().cloned().collect();
        // `done` is told when it fails.
        let _ = self.write(deletes(keys), done);
    }
}

/// Never one of an earlier process, whose leases are void.
fn new_lease() -> LeaseId {
    let mut octets = [0; 8];
    octets.copy_from_slice(&uuid::Uuid::new_v4().as_bytes()[8..]);
    LeaseId(i64::from_ne_bytes(octets) & i64::MAX)
}

fn deletes(keys: Vec<Key>) -> Txn {
    Txn {
        deletes: keys,
        ..Txn::default()
    }
}

fn record(txn: &Txn, revision: Revision) -> Transaction {
    let item = |put: &crate::store::Put| Item {
        key: put.key.clone(),
        value: put.value.clone(),
        revision: 0,
        leased: put.lease.is_some(),
    };
    Transaction {
        revision: revision.0,
        puts: txn.puts.iter().map(item).collect(),
        deletes: txn.deletes.clone(),
    }
}

fn changes(txn: Txn, revision: Revision) -> Changes {
    let puts = txn.puts.into_iter().map(|put| Change {
        key: put.key,
        value: Some(put.value),
    });
    let deletes = txn
        .deletes
        .into_iter()
        .map(|key| Change { key, value: None });
    Changes {
        revision,
        changes: puts.chain(deletes).collect(),
    }
}

/// Why the log took nothing.
pub(super) fn refused(error: &LogError) -> Error {
    match error {
        LogError::Overloaded => Error::Unavailable(error.to_string()),
        other => Error::Failed(other.to_string()),
    }
}
