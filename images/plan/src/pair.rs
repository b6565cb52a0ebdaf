//! Givers and takers, brought together.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::share::Share;

/// Those that give or take, the one with most first; ties go to the first name.
pub(crate) struct Queue(BTreeSet<(Reverse<Share>, usize)>);

impl Queue {
    /// From how much each gives or takes; those with nothing are not in it.
    pub(crate) fn of(amounts: &[Share]) -> Self {
        let mut queue = Self(BTreeSet::new());
        for (at, amount) in amounts.iter().enumerate() {
            queue.put(Party {
                at,
                amount: *amount,
            });
        }
        queue
    }

    /// Takes out the one with most.
    pub(crate) fn next(&mut self) -> Option<Party> {
        let (Reverse(amount), at) = self.0.pop_first()?;
        Some(Party { at, amount })
    }

    /// Puts one in, with what is left of it.
    pub(crate) fn put(&mut self, party: Party) {
        if party.amount > 0 {
            self.0.insert((Reverse(party.amount), party.at));
        }
    }
}

/// One that gives or takes so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Party {
    pub(crate) at: usize,
    pub(crate) amount: Share,
}

impl Party {
    /// What is left once so much is done.
    pub(crate) fn without(self, amount: Share) -> Self {
        Self {
            amount: self.amount - amount,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_with_most_is_next_and_ties_go_to_the_first() {
        let mut queue = Queue::of(&[3, 0, 7, 7, -1]);
        let next = |queue: &mut Queue| queue.next().map(|party| (party.at, party.amount));
        assert_eq!(next(&mut queue), Some((2, 7)));
        queue.put(Party { at: 2, amount: 5 }.without(5));
        queue.put(Party { at: 3, amount: 7 }.without(6));
        assert_eq!(next(&mut queue), Some((3, 7)));
        assert_eq!(next(&mut queue), Some((0, 3)));
        assert_eq!(next(&mut queue), Some((3, 1)));
        assert_eq!(next(&mut queue), None);
    }
}
