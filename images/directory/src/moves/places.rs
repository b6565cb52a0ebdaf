//! Places of moves under way: so many in all, so many from one shard, and so many to one shard.
//!
//! A move has its place from before it is admitted until the account is decided: as long as its copy
//! keeps two disks busy.

use std::collections::HashMap;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use wire::ids::{AccountId, ShardName};
use wire::rpc::MoveLimits;

/// A move's two ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    pub(super) source: ShardName,
    pub(super) target: ShardName,
}

/// Who has places; the driver of moves is the only one that gives them.
#[derive(Debug)]
pub(super) struct Places {
    state: Mutex<State>,
    /// Changes whenever a place gets free.
    freed: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    limits: MoveLimits,
    taken: HashMap<AccountId, Ends>,
}

impl Places {
    /// All are free.
    pub(super) fn new(limits: MoveLimits) -> Self {
        let taken = HashMap::new();
        Self {
            state: Mutex::new(State { limits, taken }),
            freed: watch::Sender::new(()),
        }
    }

    /// Other limits: there may be places that were none before.
    pub(super) fn limit(&self, limits: MoveLimits) {
        let before = std::mem::replace(&mut self.state().limits, limits);
        if before != limits {
            self.freed.send_replace(());
        }
    }

    /// A move that is under way has its place, however many there are.
    pub(super) fn hold(&self, account: AccountId, ends: Ends) {
        self.state().taken.insert(account, ends);
    }

    /// Takes a place, unless it is there already; else why there is none.
    pub(super) fn take(&self, account: AccountId, ends: Ends) -> Result<(), String> {
        let mut state = self.state();
        let State { limits, taken } = &mut *state;
        if taken.contains_key(&account) {
            return Ok(());
        }
        if limits.paused {
            return Err("moves are paused".to_owned());
        }
        if taken.len() >= limits.max_open as usize {
            return Err(format!("{} other moves are under way", taken.len()));
        }
        let most = limits.per_shard as usize;
        let count = |same: fn(&Ends, &Ends) -> bool| {
            let others = taken.values().filter(|other| same(other, &ends));
            others.count()
        };
        if count(|a, b| a.source == b.source) >= most {
            return Err(format!("{most} other moves leave {}", ends.source));
        }
        if count(|a, b| a.target == b.target) >= most {
            return Err(format!("{most} other moves come to {}", ends.target));
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
        let left = self.state().taken.remove(&account);
        if left.is_some() {
            self.freed.send_replace(());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: u8) -> AccountId {
        AccountId::from_bytes([number; 16])
    }

    fn limits(per_shard: u32) -> MoveLimits {
        MoveLimits {
            max_open: 3,
            per_shard,
            ..MoveLimits::default()
        }
    }

    fn ends(source: &str, target: &str) -> Ends {
        Ends {
            source: source.parse().unwrap(),
            target: target.parse().unwrap(),
        }
    }

    #[test]
    fn so_many_from_one_shard_and_so_many_to_one() {
        let places = Places::new(MoveLimits {
            max_open: 9,
            ..limits(2)
        });
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
        let places = Places::new(limits(1));
        places.hold(account(1), ends("a", "b"));
        places.hold(account(2), ends("a", "b"));
        places.leave(account(1));
        assert!(places.take(account(3), ends("a", "b")).is_err());
        places.leave(account(2));
        assert!(places.take(account(3), ends("a", "b")).is_ok());
    }

    #[test]
    fn who_waits_hears_of_a_free_place() {
        let places = Places::new(limits(1));
        places.hold(account(1), ends("a", "b"));
        let freed = places.freed();
        places.leave(account(2));
        assert!(!freed.has_changed().unwrap(), "it had none");
        places.leave(account(1));
        assert!(freed.has_changed().unwrap());
    }

    #[test]
    fn limits_change_while_moves_are_under_way() {
        let places = Places::new(limits(1));
        let take = |number| places.take(account(number), ends(&format!("a{number}"), "b"));
        assert_eq!(take(1), Ok(()));
        assert!(take(2).is_err());
        let mut freed = places.freed();
        places.limit(limits(9));
        assert!(freed.has_changed().unwrap());
        freed.mark_unchanged();
        places.limit(limits(9));
        assert!(!freed.has_changed().unwrap(), "nothing changed");
        assert_eq!((take(2), take(3)), (Ok(()), Ok(())));
        assert_eq!(take(4), Err("3 other moves are under way".to_owned()));
        places.leave(account(1));
        places.limit(MoveLimits {
            paused: true,
            ..limits(9)
        });
        assert_eq!(take(4), Err("moves are paused".to_owned()));
        assert_eq!(take(3), Ok(()), "it has one");
    }
}
