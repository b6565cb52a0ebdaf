//! Places of moves under way: so many from one shard, and so many to one shard.
//!
//! A move has its place from before it is admitted until the account is decided: as long as its copy
//! keeps two disks busy.

use std::collections::HashMap;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use wire::ids::{AccountId, ShardName};

/// A move's two ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    pub(super) source: ShardName,
    pub(super) target: ShardName,
}

/// Who has places; the driver of moves is the only one that gives them.
#[derive(Debug)]
pub(super) struct Places {
    limit: usize,
    taken: Mutex<HashMap<AccountId, Ends>>,
    /// Changes whenever a place gets free.
    freed: watch::Sender<()>,
}

impl Places {
    /// All are free; `limit` from one shard, and to one shard.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            taken: Mutex::default(),
            freed: watch::Sender::new(()),
        }
    }

    /// A move that is under way has its place, however many there are.
    pub(super) fn hold(&self, account: AccountId, ends: Ends) {
        self.taken().insert(account, ends);
    }

    /// Takes a place, unless it is there already; else what there is too much of.
    pub(super) fn take(&self, account: AccountId, ends: Ends) -> Result<(), String> {
        let mut taken = self.taken();
        if taken.contains_key(&account) {
            return Ok(());
        }
        let count = |same: fn(&Ends, &Ends) -> bool| {
            let others = taken.values().filter(|other| same(other, &ends));
            others.count()
        };
        if count(|a, b| a.source == b.source) >= self.limit {
            return Err(format!("{} other moves leave {}", self.limit, ends.source));
        }
        if count(|a, b| a.target == b.target) >= self.limit {
            return Err(format!(
                "{} other moves come to {}",
                self.limit, ends.target
            ));
        }
        taken.insert(account, ends);
        Ok(())
    }

    /// Changes whenever a place gets free.
    pub(super) fn freed(&self) -> watch::Receiver<()> {
        self.freed.subscribe()
    }

    /// Gives a place back, if there is one.
    pub(super) fn leave(&self, account: AccountId) {
        if self.taken().remove(&account).is_some() {
            self.freed.send_replace(());
        }
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<AccountId, Ends>> {
        self.taken.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: u8) -> AccountId {
        AccountId::from_bytes([number; 16])
    }

    fn ends(source: &str, target: &str) -> Ends {
        Ends {
            source: source.parse().unwrap(),
            target: target.parse().unwrap(),
        }
    }

    #[test]
    fn so_many_from_one_shard_and_so_many_to_one() {
        let places = Places::new(2);
        let take = |number, source, target| places.take(account(number), ends(source, target));
        assert_eq!(take(1, "a", "b"), Ok(()));
        assert_eq!(take(2, "a", "c"), Ok(()));
        assert_eq!(take(3, "a", "d"), Err("2 other moves leave a".to_owned()));
        assert_eq!(take(4, "b", "c"), Ok(()));
        assert_eq!(take(5, "d", "c"), Err("2 other moves come to c".to_owned()));
        assert_eq!(take(1, "a", "b"), Ok(()), "it has one");
        places.leave(account(1));
        assert_eq!(take(3, "a", "d"), Ok(()));
    }

    #[test]
    fn what_is_under_way_counts_whatever_the_limit() {
        let places = Places::new(1);
        places.hold(account(1), ends("a", "b"));
        places.hold(account(2), ends("a", "b"));
        places.leave(account(1));
        assert!(places.take(account(3), ends("a", "b")).is_err());
        places.leave(account(2));
        assert!(places.take(account(3), ends("a", "b")).is_ok());
    }

    #[test]
    fn who_waits_hears_of_a_free_place() {
        let places = Places::new(1);
        places.hold(account(1), ends("a", "b"));
        let freed = places.freed();
        places.leave(account(2));
        assert!(!freed.has_changed().unwrap(), "it had none");
        places.leave(account(1));
        assert!(freed.has_changed().unwrap());
    }
}
