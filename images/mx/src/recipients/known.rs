//! Yeses that were given, for when no directory replica answers.

use std::collections::HashMap;

use crate::session::{Resolved, Target};

/// A bounded memory of yeses in two generations: when the young one is full it becomes the old
/// one, and the old one is forgotten. What is asked for often stays.
#[derive(Debug)]
pub(super) struct Known {
    young: HashMap<Box<str>, Vec<Target>>,
    old: HashMap<Box<str>, Vec<Target>>,
    generation: usize,
}

/// Aliases with more targets than this are not worth their room.
const MAX_TARGETS: usize = 16;

impl Known {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            generation: capacity / 2,
        }
    }

    pub(super) fn remember(&mut self, key: Option<Box<str>>, targets: &[Target]) {
        let Some(key) = key.filter(|_| targets.len() <= MAX_TARGETS && self.generation > 0) else {
            return;
        };
        if self.young.get(&key).is_some_and(|held| held == targets) {
            return;
        }
        if self.young.len() >= self.generation {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, targets.to_vec());
    }

    /// The directory says no: mail for it would end as a dead letter.
    pub(super) fn forget(&mut self, key: Option<Box<str>>) {
        if let Some(key) = key {
            self.young.remove(&key);
            self.old.remove(&key);
        }
    }

    /// What was last known, marked as stale.
    pub(super) fn recall(&self, key: &Option<Box<str>>) -> Resolved {
        let held = key
            .as_ref()
            .and_then(|key| self.young.get(key).or_else(|| self.old.get(key)));
        let Some(held) = held else {
            return Resolved::Unsure;
        };
        let stale = |target: &Target| Target {
            stale: true,
            ..target.clone()
        };
        Resolved::Known(held.iter().map(stale).collect())
    }
}

#[cfg(test)]
mod tests {
    use wire::ids::{AccountId, Epoch};

    use super::*;

    fn target() -> Target {
        Target {
            account: AccountId::random(),
            address: "a@b.example".into(),
            shard: "shard-1".parse().unwrap(),
            endpoint: String::new(),
            epoch: Epoch(1),
            stale: false,
        }
    }

    #[test]
    fn bounded_and_stale() {
        let mut known = Known::new(4);
        let key = |number: usize| Some(number.to_string().into_boxed_str());
        for number in 0..5 {
            known.remember(key(number), &[target()]);
        }
        assert!(known.young.len() + known.old.len() <= 4);
        assert_eq!(known.recall(&key(0)), Resolved::Unsure);
        assert_eq!(known.recall(&None), Resolved::Unsure);
        let Resolved::Known(targets) = known.recall(&key(4)) else {
            panic!()
        };
        assert!(targets[0].stale);
        known.forget(key(4));
        assert_eq!(known.recall(&key(4)), Resolved::Unsure);
        known.remember(key(9), &vec![target(); MAX_TARGETS + 1]);
        assert_eq!(known.recall(&key(9)), Resolved::Unsure);
    }
}
