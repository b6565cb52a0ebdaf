//! The addresses of one domain in the order of their local parts, for listings that page.
//!
//! Runs of at most [`RUN`] handles: a change moves a few hundred octets, and there is no node to
//! allocate per address.

use std::cmp::Ordering;

use super::arena::Handle;

/// Longest run.
const RUN: usize = 512;

/// Handles in order. Comparisons come from outside, since the names are in the arena.
#[derive(Default)]
pub(super) struct Order {
    runs: Vec<Vec<u32>>,
}

impl Order {
    /// Puts `handle` where `compare` (of an entry with the new one) says; an equal one is replaced.
    pub(super) fn set(&mut self, handle: Handle, compare: impl Fn(Handle) -> Ordering) {
        if self.runs.is_empty() {
            self.runs.push(Vec::new());
        }
        let (run, place) = self.find(&compare);
        match place {
            Ok(at) => self.runs[run][at] = handle.0,
            Err(at) => self.insert(run, at, handle),
        }
    }

    /// Takes out the entry that `compare` calls equal.
    pub(super) fn remove(&mut self, compare: impl Fn(Handle) -> Ordering) {
        if let (run, Ok(at)) = self.find(&compare) {
            self.runs[run].remove(at);
            if self.runs[run].is_empty() {
                self.runs.remove(run);
            }
        }
    }

    /// All that `compare` calls greater.
    pub(super) fn after<'a>(
        &'a self,
        compare: &dyn Fn(Handle) -> Ordering,
    ) -> impl Iterator<Item = Handle> + use<'a> {
        let (run, place) = self.find(compare);
        let at = place.map_or_else(|at| at, |at| at + 1);
        let first = self.runs.get(run).map_or(&[][..], |run| &run[at..]);
        let rest = self.runs.iter().skip(run + 1).flatten();
        first.iter().chain(rest).copied().map(Handle)
    }

    /// All, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Handle> + '_ {
        self.runs.iter().flatten().copied().map(Handle)
    }

    /// Octets of memory it holds.
    pub(super) fn bytes(&self) -> usize {
        let handles: usize = self.runs.iter().map(|run| run.capacity() * 4).sum();
        handles + self.runs.capacity() * size_of::<Vec<u32>>()
    }

    /// The run and the place in it; 0 and `Err(0)` when there is nothing.
    fn find(&self, compare: &dyn Fn(Handle) -> Ordering) -> (usize, Result<usize, usize>) {
        let starts_after = |run: &Vec<u32>| {
            run.first()
                .is_some_and(|first| compare(Handle(*first)) != Ordering::Greater)
        };
        let run = self.runs.partition_point(starts_after).saturating_sub(1);
        let place = match self.runs.get(run) {
            Some(run) => run.binary_search_by(|entry| compare(Handle(*entry))),
            None => Err(0),
        };
        (run, place)
    }

    fn insert(&mut self, run: usize, at: usize, handle: Handle) {
        if self.runs[run].len() < RUN {
            self.runs[run].insert(at, handle.0);
            return;
        }
        // Entries that come in order fill whole runs; others leave them half full.
        let split = if at == RUN { RUN } else { RUN / 2 };
        let tail = self.runs[run].split_off(split);
        self.runs[run].shrink_to_fit();
        self.runs.insert(run + 1, tail);
        if at <= split && split < RUN {
            self.runs[run].insert(at, handle.0);
        } else {
            self.runs[run + 1].insert(at - split, handle.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn by_value(wanted: u32) -> impl Fn(Handle) -> Ordering {
        move |entry| entry.0.cmp(&wanted)
    }

    #[test]
    fn rising_and_falling_entries_stay_in_order() {
        let mut order = Order::default();
        for value in (0..5000).chain((5000..9000).rev()) {
            order.set(Handle(value), by_value(value));
        }
        assert!(order.iter().map(|entry| entry.0).eq(0..9000));
        let after = order.after(&by_value(700));
        assert!(after.map(|entry| entry.0).eq(701..9000));
        assert!(order.bytes() < 9000 * 10, "{}", order.bytes());
    }

    proptest! {
        #[test]
        fn is_a_sorted_set(steps in prop::collection::vec((any::<bool>(), 0..3000u32), 0..4000)) {
            let (mut order, mut expected) = (Order::default(), BTreeSet::new());
            for (add, value) in steps {
                if add {
                    order.set(Handle(value), by_value(value));
                    expected.insert(value);
                } else {
                    order.remove(by_value(value));
                    expected.remove(&value);
                }
            }
            prop_assert!(order.iter().map(|entry| entry.0).eq(expected.iter().copied()));
            let after = order.after(&by_value(1500)).map(|entry| entry.0);
            prop_assert!(after.eq(expected.range(1501..).copied()));
        }
    }
}
