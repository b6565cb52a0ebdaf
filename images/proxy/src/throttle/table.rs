//! What is remembered, within bounds.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A map that forgets: what was not put for `memory` goes, and when more than `capacity` keys
/// came since, the oldest go earlier. Two generations; the older is dropped as a whole.
#[derive(Debug)]
pub(super) struct Table<V> {
    young: HashMap<u64, V>,
    old: HashMap<u64, V>,
    since: Instant,
    capacity: usize,
    memory: Duration,
}

impl<V: Copy> Table<V> {
    pub(super) fn new(capacity: usize, memory: Duration, now: Instant) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            since: now,
            capacity,
            memory,
        }
    }

    pub(super) fn get(&mut self, now: Instant, key: u64) -> Option<V> {
        self.age(now);
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    pub(super) fn put(&mut self, now: Instant, key: u64, value: V) {
        self.age(now);
        if self.young.len() >= self.capacity && !self.young.contains_key(&key) {
            self.turn(now);
        }
        self.young.insert(key, value);
    }

    pub(super) fn remove(&mut self, key: u64) {
        self.young.remove(&key);
        self.old.remove(&key);
    }

    fn age(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.since);
        if age >= self.memory * 2 {
            self.young.clear();
        }
        if age >= self.memory {
            self.turn(now);
        }
    }

    fn turn(&mut self, now: Instant) {
        self.old = std::mem::take(&mut self.young);
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_drops_the_oldest() {
        let now = Instant::now();
        let mut table = Table::new(4, Duration::from_secs(60), now);
        for key in 0..9 {
            table.put(now, key, key);
        }
        assert!(table.young.len() + table.old.len() <= 8);
        assert_eq!(table.get(now, 0), None);
        assert_eq!(table.get(now, 8), Some(8));
        assert_eq!(table.get(now, 5), Some(5));
        assert_eq!(table.get(now + Duration::from_secs(121), 8), None);
    }
}
