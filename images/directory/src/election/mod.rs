//! Election of the one replica that drives moves and sweeps: a leased key in the store.
//!
//! A replica that was elected may be slow to notice that it no longer is. So whatever it writes of
//! moves names the election key's revision as a condition ([`Term`]): nothing is written once another
//! replica, or the same one again, was elected. What it sweeps harms nobody when two do it.

use std::time::Duration;

use kit::lifecycle::Shutdown;
use prost::Message;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::model::Key;
use crate::model::records::MoverRecord;
use crate::store::{Error, Expect, LeaseId, Outcome, Revision, SharedStore, Txn};

/// How long a replica that vanished keeps the others waiting.
const TTL: Duration = Duration::from_secs(10);

/// How often the others look whether the key is gone.
const RETRY: Duration = Duration::from_secs(1);

/// An election's timings.
#[derive(Debug, Clone)]
pub struct ElectionConfig {
    /// Life of the key, whole seconds; it is prolonged thrice in it.
    pub ttl: Duration,
    /// Pause between attempts.
    pub retry: Duration,
}

impl Default for ElectionConfig {
    fn default() -> Self {
        Self {
            ttl: TTL,
            retry: RETRY,
        }
    }
}

/// One time of being elected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// The election key's.
    pub revision: Revision,
}

impl Term {
    /// Makes a transaction fail once this term is over.
    #[must_use]
    pub fn fence(self, txn: Txn) -> Txn {
        txn.when(Key::Mover.to_string(), Expect::At(self.revision))
    }
}

/// A replica's candidacy; it ends when this is dropped.
#[derive(Debug)]
pub struct Election {
    term: watch::Receiver<Option<Term>>,
    task: JoinHandle<()>,
}

impl Election {
    /// Stands for election as `instance` until `shutdown` is triggered; then another may be elected
    /// at once.
    pub fn start(
        store: SharedStore,
        instance: &str,
        config: ElectionConfig,
        shutdown: Shutdown,
    ) -> Self {
        let (sender, term) = watch::channel(None);
        let candidate = Candidate {
            store,
            instance: instance.to_owned(),
            config,
            term: sender,
        };
        let task = tokio::spawn(candidate.run(shutdown));
        Self { term, task }
    }

    /// The term while elected.
    pub fn term(&self) -> watch::Receiver<Option<Term>> {
        self.term.clone()
    }

    /// Does `work` whenever elected; it is dropped when the term ends. Ends with the candidacy.
    pub async fn lead<F: Future<Output = ()>>(&self, work: impl Fn(Term) -> F) {
        let mut terms = self.term();
        loop {
            let term = *terms.borrow_and_update();
            let changed = match term {
                None => terms.changed().await,
                Some(term) => tokio::select! {
                    changed = terms.changed() => changed,
                    () = work(term) => terms.changed().await,
                },
            };
            if changed.is_err() {
                return;
            }
        }
    }
}

impl Drop for Election {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Candidate {
    store: SharedStore,
    instance: String,
    config: ElectionConfig,
    term: watch::Sender<Option<Term>>,
}

impl Candidate {
    async fn run(self, shutdown: Shutdown) {
        loop {
            let lease = tokio::select! {
                lease = self.win() => lease,
                () = shutdown.triggered() => return,
            };
            let lost = tokio::select! {
                lost = self.keep(lease) => Some(lost),
                () = shutdown.triggered() => None,
            };
            self.term.send_replace(None);
            let Some(lost) = lost else {
                // If this is lost, the key ends by itself.
                let _ = self.store.revoke(lease).await;
                return;
            };
            tracing::info!(reason = %lost, "no longer elected to drive moves");
        }
    }

    /// Tries until elected.
    async fn win(&self) -> LeaseId {
        loop {
            match self.try_win().await {
                Ok(Some((lease, term))) => {
                    tracing::info!(revision = term.revision.0, "elected to drive moves");
                    self.term.send_replace(Some(term));
                    return lease;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "no election: the store cannot be asked"),
            }
            sleep(self.config.retry).await;
        }
    }

    async fn try_win(&self) -> Result<Option<(LeaseId, Term)>, Error> {
        let key = Key::Mover.to_string();
        let taken = self.store.get(vec![key.clone()]).await?;
        if taken.into_iter().flatten().next().is_some() {
            return Ok(None);
        }
        let lease = self.store.grant(self.config.ttl).await?;
        let record = MoverRecord {
            instance: self.instance.clone(),
            elected_at_ms: kit::clock::unix_ms(),
        };
        let txn = Txn::new().when(key.clone(), Expect::Absent);
        let txn = txn.put_leased(key, record.encode_to_vec(), lease);
        match self.store.commit(txn).await {
            Ok(Outcome::Committed(revision)) => Ok(Some((lease, Term { revision }))),
            Ok(Outcome::Conflict) => {
                self.store.revoke(lease).await?;
                Ok(None)
            }
            Err(error) => {
                // Perhaps elected without knowing the revision: give it back, or let it end.
                let _ = self.store.revoke(lease).await;
                Err(error)
            }
        }
    }

    /// Prolongs until that has failed for the lease's whole time, counted from before each call.
    async fn keep(&self, lease: LeaseId) -> Error {
        let mut held_until = kit::clock::boottime() + self.config.ttl;
        loop {
            sleep(self.config.ttl / 3).await;
            let sent = kit::clock::boottime();
            match self.store.keep_alive(lease).await {
                Ok(ttl) => held_until = sent + ttl,
                Err(error) if error.is_temporary() && kit::clock::boottime() < held_until => {}
                Err(error) => return error,
            }
        }
    }
}
