//! What the reader of one maildrop knows: what was there stays, under its unique-id, until the
//! reader deletes it, and then never comes back.

use std::collections::BTreeMap;

/// A maildrop as one reader, its only one, has seen it.
#[derive(Debug, Clone, Default)]
pub struct Maildrop {
    known: BTreeMap<String, State>,
    faults: Vec<String>,
}

/// Where a message is that was listed once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    There,
    /// It was marked, and QUIT was not answered.
    MayBeGone,
    Gone,
}

impl Maildrop {
    /// Notes the unique-ids that a new session lists.
    pub fn listed(&mut self, ids: &[String]) {
        for (id, state) in &mut self.known {
            match state {
                State::There if !ids.contains(id) => {
                    self.faults.push(format!("{id} was there and is not"));
                    *state = State::Gone;
                }
                State::MayBeGone if !ids.contains(id) => *state = State::Gone,
                State::Gone if ids.contains(id) => {
                    self.faults.push(format!("{id} was gone and is there"));
                }
                _ => {}
            }
        }
        self.set(ids, State::There);
    }

    /// All that was wrong so far: what had to be there and was not, and what came back.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// QUIT is about to be said, with these marked.
    pub fn deleting<'a>(&mut self, ids: impl IntoIterator<Item = &'a String>) {
        self.set(ids, State::MayBeGone);
    }

    /// QUIT was answered `+OK`, with these marked.
    pub fn deleted<'a>(&mut self, ids: impl IntoIterator<Item = &'a String>) {
        self.set(ids, State::Gone);
    }

    fn set<'a>(&mut self, ids: impl IntoIterator<Item = &'a String>, state: State) {
        for id in ids {
            self.known.insert(id.clone(), state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn what_was_there_stays() {
        let mut maildrop = Maildrop::default();
        maildrop.listed(&ids(&["a", "b"]));
        maildrop.listed(&ids(&["a", "b", "c"]));
        assert!(maildrop.faults().is_empty());
        maildrop.listed(&ids(&["c", "a"]));
        assert_eq!(maildrop.faults(), ["b was there and is not"]);
        maildrop.listed(&[]);
        assert_eq!(maildrop.faults().len(), 3);
    }

    #[test]
    fn what_was_deleted_stays_away() {
        let mut maildrop = Maildrop::default();
        maildrop.listed(&ids(&["a", "b"]));
        maildrop.deleted(&ids(&["a"]));
        maildrop.listed(&ids(&["b"]));
        assert!(maildrop.faults().is_empty());
        maildrop.listed(&ids(&["a", "b"]));
        assert_eq!(maildrop.faults(), ["a was gone and is there"]);
    }

    #[test]
    fn without_an_answer_both_may_be_and_what_is_seen_then_counts() {
        let mut maildrop = Maildrop::default();
        maildrop.listed(&ids(&["a", "b"]));
        maildrop.deleting(&ids(&["a", "b"]));
        maildrop.listed(&ids(&["b"]));
        assert!(maildrop.faults().is_empty());
        maildrop.listed(&ids(&["a"]));
        assert_eq!(
            maildrop.faults(),
            ["a was gone and is there", "b was there and is not"]
        );
    }
}
