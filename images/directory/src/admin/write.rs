//! One administrator's write: one transaction, the same one however often it is sent.
//!
//! The outcome is stored under the request's id in the very transaction, so a retry finds it and
//! gets the same answer. Every key that was read is named with its revision; on a conflict all is
//! read and decided again.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use ring::digest::{SHA256, digest};
use tonic::Status;
use wire::ids::RequestId;

use super::{Admin, refuse};
use crate::model::Key;
use crate::model::records::RequestRecord;
use crate::store::{Error, Expect, Outcome, Revision, Txn};

/// How often a write is decided anew when others change what it read.
const ATTEMPTS: u32 = 10;

/// First pause after a conflict; it doubles.
const PAUSE: Duration = Duration::from_millis(5);

/// What a write is known by.
pub(crate) struct Request {
    id: RequestId,
    method: &'static str,
    fingerprint: Vec<u8>,
}

/// What a write comes to.
pub(crate) enum Plan<R> {
    /// This transaction, then this answer.
    Commit(Txn, R),
    /// It is so already.
    Done(R),
}

/// A record, and the transaction that last put it.
pub(crate) struct Found<T> {
    pub(crate) key: String,
    pub(crate) record: T,
    pub(crate) revision: Revision,
}

impl<T> Found<T> {
    /// Names the record as it was read.
    pub(crate) fn unchanged(&self, txn: Txn) -> Txn {
        txn.when(self.key.clone(), Expect::At(self.revision))
    }
}

impl Request {
    /// `message` is the request without its id and without passwords: the same id with another
    /// message is another write, and refused.
    pub(crate) fn new(
        id: &[u8],
        method: &'static str,
        message: &impl Message,
    ) -> Result<Self, Status> {
        let digest = digest(&SHA256, &message.encode_to_vec());
        Ok(Self {
            id: refuse::request_id(id)?,
            method,
            fingerprint: digest.as_ref().to_vec(),
        })
    }

    pub(crate) fn id(&self) -> RequestId {
        self.id
    }

    fn key(&self) -> Key {
        Key::Request(self.id)
    }

    fn same<R: Message + Default>(&self, record: &RequestRecord) -> Result<R, Status> {
        if record.method != self.method || record.fingerprint != self.fingerprint {
            let why = "another request had this id; give each request its own";
            return Err(refuse::invalid("request_id", why));
        }
        R::decode(&record.reply[..])
            .map_err(|error| refuse::corrupt(&self.key().to_string(), &error))
    }
}

impl Admin {
    /// Decides by `plan` and commits, once; the answer of the first time if there was one.
    pub(crate) async fn write<R, F>(
        &self,
        request: &Request,
        plan: impl Fn() -> F,
    ) -> Result<R, Status>
    where
        R: Message + Default,
        F: Future<Output = Result<Plan<R>, Status>>,
    {
        let mut pause = PAUSE;
        for _ in 0..ATTEMPTS {
            if let Some(reply) = self.earlier(request).await? {
                return Ok(reply);
            }
            let (txn, reply) = match plan().await? {
                Plan::Commit(txn, reply) => (txn, reply),
                Plan::Done(reply) => return Ok(reply),
            };
            let txn = remember(txn, request, &reply);
            match self.store.commit(txn).await {
                Ok(Outcome::Committed(revision)) => {
                    self.applied(revision).await;
                    return Ok(reply);
                }
                // Unknown: the next round finds the outcome, if there is one.
                Ok(Outcome::Conflict) | Err(Error::Unknown(_)) => {}
                Err(error) => return Err(refuse::store(&error)),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(refuse::again(
            "others kept changing what this request needs",
        ))
    }

    /// What this request answered when it came before.
    pub(crate) async fn earlier<R: Message + Default>(
        &self,
        request: &Request,
    ) -> Result<Option<R>, Status> {
        let found = self.read::<RequestRecord>(request.key()).await?;
        found.map(|found| request.same(&found.record)).transpose()
    }

    /// Commits a step that is no answer by itself; none: a conflict, or nobody knows.
    pub(crate) async fn step(&self, txn: Txn) -> Result<Option<Revision>, Status> {
        match self.store.commit(txn).await {
            Ok(Outcome::Committed(revision)) => Ok(Some(revision)),
            Ok(Outcome::Conflict) | Err(Error::Unknown(_)) => Ok(None),
            Err(error) => Err(refuse::store(&error)),
        }
    }

    /// Reads one record, linearizably.
    pub(crate) async fn read<T: Message + Default>(
        &self,
        key: Key,
    ) -> Result<Option<Found<T>>, Status> {
        let found = self.read_all(vec![key]).await?;
        Ok(found.into_iter().next().flatten())
    }

    /// Reads records of one type, at most [`crate::store::MAX_OPERATIONS`].
    pub(crate) async fn read_all<T: Message + Default>(
        &self,
        keys: Vec<Key>,
    ) -> Result<Vec<Option<Found<T>>>, Status> {
        let keys = keys.iter().map(Key::to_string).collect();
        let entries = self.store.get(keys).await;
        let entries = entries.map_err(|error| refuse::store(&error))?;
        let read = |entry: crate::store::Entry| match T::decode(&entry.value[..]) {
            Ok(record) => Ok(Found {
                key: entry.key,
                record,
                revision: entry.revision,
            }),
            Err(error) => Err(refuse::corrupt(&entry.key, &error)),
        };
        entries
            .into_iter()
            .map(|entry| entry.map(read).transpose())
            .collect()
    }

    /// Waits, not for long, until this replica's map shows a commit: who asks next sees it.
    pub(crate) async fn applied(&self, revision: Revision) {
        let mut reached = self.shared.reached();
        let shown = reached.wait_for(|reached| *reached >= revision);
        // The write is done in any case.
        drop(tokio::time::timeout(self.config.proof, shown).await);
    }
}

fn remember(txn: Txn, request: &Request, reply: &impl Message) -> Txn {
    let record = RequestRecord {
        method: request.method.to_owned(),
        fingerprint: request.fingerprint.clone().into(),
        done_at_ms: kit::clock::unix_ms(),
        reply: reply.encode_to_vec().into(),
    };
    let key = request.key().to_string();
    txn.when(key.clone(), Expect::Absent)
        .put(key, record.encode_to_vec())
}

/// A record as a put's value.
pub(crate) fn value(record: &impl Message) -> Bytes {
    record.encode_to_vec().into()
}
