//! The last transactions, for watches.

use std::collections::VecDeque;

use crate::store::{Changes, Error, Revision};

/// What a transaction costs beside its keys and values, about.
const OVERHEAD: usize = 128;

/// The last transactions, in order, bounded.
#[derive(Debug)]
pub(super) struct History {
    kept: VecDeque<Changes>,
    bytes: usize,
    max_transactions: usize,
    max_bytes: usize,
    /// Everything after this is kept.
    floor: Revision,
}

impl History {
    pub(super) fn new(floor: Revision, max_transactions: usize, max_bytes: usize) -> Self {
        Self {
            kept: VecDeque::new(),
            bytes: 0,
            max_transactions,
            max_bytes,
            floor,
        }
    }

    pub(super) fn push(&mut self, changes: Changes) {
        self.bytes += cost(&changes);
        self.kept.push_back(changes);
        while self.kept.len() > self.max_transactions || self.bytes > self.max_bytes {
            let Some(oldest) = self.kept.pop_front() else {
                return;
            };
            self.bytes -= cost(&oldest);
            self.floor = oldest.revision;
        }
    }

    /// The last transaction.
    pub(super) fn newest(&self) -> Revision {
        self.kept
            .back()
            .map_or(self.floor, |newest| newest.revision)
    }

    /// At most `most` transactions after a revision.
    pub(super) fn after(&self, after: Revision, most: usize) -> Result<Vec<Changes>, Error> {
        if after < self.floor {
            return Err(Error::Compacted(after));
        }
        let start = self
            .kept
            .partition_point(|changes| changes.revision <= after);
        Ok(self.kept.iter().skip(start).take(most).cloned().collect())
    }
}

fn cost(changes: &Changes) -> usize {
    let each = changes.changes.iter().map(|change| {
        let value = change.value.as_ref().map_or(0, bytes::Bytes::len);
        OVERHEAD + change.key.len() + value
    });
    OVERHEAD + each.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(revision: u64) -> Changes {
        Changes {
            revision: Revision(revision),
            changes: Vec::new(),
        }
    }

    #[test]
    fn forgets_the_oldest_and_says_so() {
        let mut history = History::new(Revision(4), 3, usize::MAX);
        assert_eq!(
            history.after(Revision(3), 9),
            Err(Error::Compacted(Revision(3)))
        );
        for revision in 5..=8 {
            history.push(changes(revision));
        }
        assert_eq!(
            history.after(Revision(4), 9),
            Err(Error::Compacted(Revision(4)))
        );
        let kept = history.after(Revision(5), 9).unwrap();
        assert_eq!(kept, [changes(6), changes(7), changes(8)]);
        assert_eq!(history.after(Revision(5), 1).unwrap(), [changes(6)]);
        assert!(history.after(Revision(8), 9).unwrap().is_empty());
        assert_eq!(history.newest(), Revision(8));
    }

    #[test]
    fn is_bounded_in_octets() {
        let mut history = History::new(Revision(0), usize::MAX, 2 * OVERHEAD);
        for revision in 1..=3 {
            history.push(changes(revision));
        }
        assert!(history.after(Revision(0), 9).is_err());
        assert_eq!(history.after(Revision(1), 9).unwrap().len(), 2);
    }
}
