//! Mail clients' sessions: one POP3 session per account, ended from here when it must be.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use wire::ids::AccountId;

/// All live sessions. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Sessions {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    live: HashMap<AccountId, CancellationToken>,
    closed: bool,
}

/// One session's lock on its account; given back when dropped.
pub(crate) struct Session {
    account: AccountId,
    sessions: Sessions,
    end: CancellationToken,
}

impl Sessions {
    /// Takes the account's lock; `None`: another session has it.
    pub(crate) fn begin(&self, account: AccountId) -> Option<Session> {
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
    pub(crate) fn end(&self, account: AccountId) {
        if let Some(end) = self.state.lock().live.get(&account) {
            end.cancel();
        }
    }

    /// Ends the sessions of accounts that are not to be served.
    pub(crate) fn retain(&self, serve: impl Fn(AccountId) -> bool) {
        let state = self.state.lock();
        let ended = state.live.iter().filter(|(account, _)| !serve(**account));
        ended.for_each(|(_, end)| end.cancel());
    }

    /// Ends every session, and those to come.
    pub(crate) fn end_all(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.live.values().for_each(CancellationToken::cancel);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
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
