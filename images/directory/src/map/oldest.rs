//! The oldest accounts of a domain: postmaster@ leads to the first.
//!
//! Only a few are kept; when they are used up, the owner looks through the domain again.

use wire::ids::AccountId;

/// How many are kept: a look through a large domain is needed once per so many removals of the
/// very oldest.
const KEPT: usize = 8;

/// The oldest accounts, oldest first.
#[derive(Default)]
pub(super) struct Oldest {
    kept: Vec<(i64, AccountId)>,
    /// Some were left out.
    more: bool,
}

impl Oldest {
    pub(super) fn first(&self) -> Option<AccountId> {
        self.kept.first().map(|(_, id)| *id)
    }

    pub(super) fn add(&mut self, created_at_ms: i64, id: AccountId) {
        let new = (created_at_ms, id);
        let Err(at) = self.kept.binary_search(&new) else {
            return;
        };
        // Behind the kept ones may be one left out that is older than this one.
        if self.more && at == self.kept.len() {
            return;
        }
        self.kept.insert(at, new);
        if self.kept.len() > KEPT {
            self.kept.truncate(KEPT);
            self.more = true;
        }
    }

    pub(super) fn remove(&mut self, created_at_ms: i64, id: AccountId) {
        if let Ok(at) = self.kept.binary_search(&(created_at_ms, id)) {
            self.kept.remove(at);
        }
    }

    /// None is kept, and some were left out: add all of the domain again to a new one.
    pub(super) fn used_up(&self) -> bool {
        self.kept.is_empty() && self.more
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_is_the_oldest(steps in prop::collection::vec((any::<bool>(), 0..40u8), 0..400)) {
            let id = |n: u8| AccountId::from_bytes([n; 16]);
            let (mut oldest, mut all) = (Oldest::default(), BTreeSet::new());
            for (add, n) in steps {
                let created = i64::from(n / 2);
                if add {
                    oldest.add(created, id(n));
                    all.insert((created, id(n)));
                } else {
                    oldest.remove(created, id(n));
                    all.remove(&(created, id(n)));
                }
                if oldest.used_up() {
                    oldest = Oldest::default();
                    for (created, id) in &all {
                        oldest.add(*created, *id);
                    }
                }
                prop_assert_eq!(oldest.first(), all.first().map(|(_, id)| *id));
            }
        }
    }
}
