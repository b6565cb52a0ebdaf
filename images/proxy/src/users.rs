//! How many sessions each account has at this proxy.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use wire::ids::AccountId;

/// Sessions by account; cheap to clone. It holds only accounts with sessions, so the listeners'
/// caps bound it.
#[derive(Debug, Clone)]
pub(crate) struct Users {
    max: usize,
    sessions: Arc<Mutex<HashMap<AccountId, usize>>>,
}

impl Users {
    /// At most `max` sessions for each account.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            sessions: Arc::default(),
        }
    }

    /// Takes a place, or nothing when the account has all of its own.
    pub(crate) fn enter(&self, account: AccountId) -> Option<Place> {
        let mut sessions = self.sessions();
        let count = sessions.entry(account).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Place {
            users: self.clone(),
            account,
        })
    }

    fn leave(&self, account: AccountId) {
        let mut sessions = self.sessions();
        if let Some(count) = sessions.get_mut(&account) {
            *count -= 1;
            if *count == 0 {
                sessions.remove(&account);
            }
        }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<AccountId, usize>> {
        self.sessions.lock()
    }
}

/// An account's place; dropping it frees it.
#[derive(Debug)]
pub(crate) struct Place {
    users: Users,
    account: AccountId,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.users.leave(self.account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_account_alone_and_forgets_it() {
        let users = Users::new(2);
        let (one, other) = (AccountId::random(), AccountId::random());
        let places = [users.enter(one).unwrap(), users.enter(one).unwrap()];
        assert!(users.enter(one).is_none());
        assert!(users.enter(other).is_some());
        drop(places);
        assert!(users.sessions().is_empty());
        assert!(users.enter(one).is_some());
    }
}
