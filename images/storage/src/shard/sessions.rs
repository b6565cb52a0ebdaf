//! Mail clients' sessions: one POP3 session per account, ended from here when it must be.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use wire::ids::{AccountId, Epoch};

use super::inner::Inner;
use super::slots::{Desk, Slot};
use super::{Refused, Shard, Unready};
use crate::account::access::Intent;

/// All live sessions. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Sessions {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    live: HashMap<AccountId, CancellationToken>,
    closed: bool,
}

/// Why no session begins.
pub(crate) enum NotBegun {
    /// Another session has the account's lock.
    InUse,
    /// Not now, or not here.
    Unready(Unready),
}

impl<E: Into<Unready>> From<E> for NotBegun {
    fn from(unready: E) -> Self {
        Self::Unready(unready.into())
    }
}

/// One session's lock on its account; given back when dropped.
pub(crate) struct Session {
    account: AccountId,
    sessions: Sessions,
    end: CancellationToken,
}

impl Shard {
    /// Begins the account's one session, once a request of this epoch may read: what it reads from
    /// the index then is durable, and the lease held when this returned.
    pub(crate) async fn begin_session(
        &self,
        account: AccountId,
        epoch: Epoch,
    ) -> Result<Session, NotBegun> {
        let shard = &*self.inner;
        let session = shard.sessions.begin(account).ok_or(NotBegun::InUse)?;
        let slot = shard.slots.get(account);
        let mark = |desk: &mut Desk| Ok(desk.mark());
        let mark = shard.act(&slot, epoch, Intent::Read, mark).await?;
        // An ownership that is queued and not durable yet gives no right to read.
        shard.settle(&slot, mark).await?;
        let fenced = |desk: &mut Desk| Ok(desk.is_fenced());
        if shard.act(&slot, epoch, Intent::Read, fenced).await? {
            shard.prove_ours(&slot, epoch).await?;
        }
        shard.lease.for_read().await?;
        Ok(session)
    }
}

impl Inner {
    /// Whether a request of this epoch may read, by a word of the directory that is newer than it.
    async fn prove_ours(&self, slot: &Slot, epoch: Epoch) -> Result<(), Unready> {
        let word = self.doubts.ask(slot.id, self.settings.patience).await?;
        let desk = slot.desk(&self.index)?;
        match self.access_by(word, &desk, epoch, Intent::Read) {
            Ok(()) => Ok(()),
            Err(Refused::Now(unready) | Refused::After(unready)) => Err(unready),
        }
    }
}

impl Sessions {
    /// Takes the account's lock; `None`: another session has it.
    pub(super) fn begin(&self, account: AccountId) -> Option<Session> {
        let mut state = self.state.lock();
        if state.live.contains_key(&account) {
            return None;
        }
        let end = CancellationToken::new();
        if state.closed {
            end.cancel();
        }
        state.live.insert(account, end.clone());
        Some(Session {
            account,
            sessions: self.clone(),
            end,
        })
    }

    /// Ends the account's session, if there is one.
    pub(super) fn end(&self, account: AccountId) {
        if let Some(end) = self.state.lock().live.get(&account) {
            end.cancel();
        }
    }

    /// Ends the sessions of accounts that are not to be served.
    pub(super) fn retain(&self, serve: impl Fn(AccountId) -> bool) {
        let state = self.state.lock();
        let ended = state.live.iter().filter(|(account, _)| !serve(**account));
        ended.for_each(|(_, end)| end.cancel());
    }

    /// Ends every session, and those to come.
    pub(super) fn end_all(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.live.values().for_each(CancellationToken::cancel);
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.state.lock().live.len()
    }
}

impl Session {
    pub(crate) fn is_ended(&self) -> bool {
        self.end.is_cancelled()
    }

    pub(crate) async fn ended(&self) {
        self.end.cancelled().await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.sessions.state.lock().live.remove(&self.account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_session_per_account() {
        let sessions = Sessions::default();
        let account = AccountId::random();
        let first = sessions.begin(account).unwrap();
        assert!(sessions.begin(account).is_none());
        assert!(sessions.begin(AccountId::random()).is_some());
        sessions.end(account);
        assert!(first.is_ended());
        drop(first);
        let second = sessions.begin(account).unwrap();
        assert!(!second.is_ended());
        sessions.end_all();
        assert!(second.is_ended());
        drop(second);
        assert!(sessions.begin(account).unwrap().is_ended());
    }
}
