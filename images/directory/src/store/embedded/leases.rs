//! The leases of an embedded store: who has which key, and until when. Time is passed in.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::store::{Error, Key, LeaseId};

/// All leases. They live in memory: opening a store voids those of the last process.
#[derive(Debug, Default)]
pub(super) struct Leases {
    leases: HashMap<LeaseId, Lease>,
    keys: HashMap<Key, LeaseId>,
}

#[derive(Debug)]
struct Lease {
    ttl: Duration,
    /// Since the machine started.
    ends: Duration,
    keys: BTreeSet<Key>,
}

impl Leases {
    pub(super) fn grant(&mut self, id: LeaseId, ttl: Duration, now: Duration) {
        let ttl = Duration::from_secs(ttl.as_secs().max(1));
        let lease = Lease {
            ttl,
            ends: now + ttl,
            keys: BTreeSet::new(),
        };
        self.leases.insert(id, lease);
    }

    pub(super) fn keep_alive(&mut self, id: LeaseId, now: Duration) -> Result<Duration, Error> {
        let lease = self.leases.get_mut(&id).filter(|lease| lease.ends > now);
        let lease = lease.ok_or(Error::LeaseGone)?;
        lease.ends = now + lease.ttl;
        Ok(lease.ttl)
    }

    /// Whether keys can be put with it.
    pub(super) fn is_held(&self, id: LeaseId, now: Duration) -> bool {
        self.leases.get(&id).is_some_and(|lease| lease.ends > now)
    }

    /// `key` was put, with this lease or none, or deleted.
    pub(super) fn attach(&mut self, key: &Key, id: Option<LeaseId>) {
        let before = self.keys.remove(key);
        if let Some(lease) = before.and_then(|id| self.leases.get_mut(&id)) {
            lease.keys.remove(key);
        }
        let Some(id) = id else {
            return;
        };
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.keys.insert(key.clone());
            self.keys.insert(key.clone(), id);
        }
    }

    /// Ends a lease; its keys are to be deleted.
    pub(super) fn end(&mut self, id: LeaseId) -> Vec<Key> {
        let lease = self.leases.remove(&id);
        let keys: Vec<_> = lease.map_or_else(Vec::new, |lease| lease.keys.into_iter().collect());
        for key in &keys {
            self.keys.remove(key);
        }
        keys
    }

    /// Leases whose time is over.
    pub(super) fn over(&self, now: Duration) -> Vec<LeaseId> {
        let over = self.leases.iter().filter(|(_, lease)| lease.ends <= now);
        over.map(|(id, _)| *id).collect()
    }

    /// How long until the next one ends, if nobody keeps it alive.
    pub(super) fn next_end(&self, now: Duration) -> Option<Duration> {
        let ends = self.leases.values().map(|lease| lease.ends).min()?;
        Some(ends.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: LeaseId = LeaseId(1);
    const B: LeaseId = LeaseId(2);

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn ends_on_time_unless_kept() {
        let mut leases = Leases::default();
        leases.grant(A, seconds(20), seconds(100));
        leases.grant(B, seconds(30), seconds(100));
        assert_eq!(leases.next_end(seconds(105)), Some(seconds(15)));
        assert_eq!(leases.keep_alive(A, seconds(119)), Ok(seconds(20)));
        assert!(leases.over(seconds(129)).is_empty());
        assert_eq!(leases.over(seconds(130)), [B]);
        assert!(!leases.is_held(B, seconds(130)));
        assert_eq!(leases.keep_alive(B, seconds(130)), Err(Error::LeaseGone));
        assert!(leases.is_held(A, seconds(138)));
    }

    #[test]
    fn a_key_belongs_to_the_lease_of_its_last_put() {
        let mut leases = Leases::default();
        leases.grant(A, seconds(20), seconds(0));
        leases.grant(B, seconds(20), seconds(0));
        for key in ["x", "y", "z"] {
            leases.attach(&key.to_owned(), Some(A));
        }
        leases.attach(&"y".to_owned(), Some(B));
        leases.attach(&"z".to_owned(), None);
        assert_eq!(leases.end(A), ["x"]);
        assert_eq!(leases.end(B), ["y"]);
        assert!(leases.end(A).is_empty());
    }
}
