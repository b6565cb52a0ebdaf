//! What the directory says: the last word on each account, and what this shard owes of it.

use std::collections::HashMap;
use std::fmt;

use wire::ids::AccountId;
use wire::rpc::WatchReply;

use super::debts::Debt;
use super::reconcile::Word;
use crate::account::access::Assigned;
use crate::shard::Shard;

/// News of the directory.
#[derive(Default)]
pub(super) struct News {
    /// The last word on each account.
    pub(super) words: HashMap<AccountId, Word>,
    /// The last debt of each account.
    pub(super) debts: HashMap<AccountId, Debt>,
}

impl News {
    /// Adds a reply. What cannot be read is a fault of its own.
    pub(super) fn read(&mut self, shard: &Shard, reply: &WatchReply) {
        for entry in &reply.entries {
            match Word::read(entry, shard.name()) {
                Ok(word) => drop(self.words.insert(word.account, word)),
                Err(error) => unreadable(shard, &error),
            }
        }
        for debt in &reply.debts {
            match Debt::read(debt) {
                Ok(debt) => drop(self.debts.insert(debt.account, debt)),
                Err(error) => unreadable(shard, &error),
            }
        }
    }

    /// What requests go by.
    pub(super) fn assigned(&self) -> impl Iterator<Item = (AccountId, Assigned)> {
        self.words.iter().map(|(id, word)| (*id, word.assigned()))
    }

    /// Takes the place of what waits. A debt that waits is tried again with a later word on its
    /// account, and before it.
    pub(super) fn supersede(&mut self, waiting: &mut Self) {
        for account in self.words.keys() {
            waiting.words.remove(account);
            if let Some(debt) = waiting.debts.remove(account) {
                self.debts.entry(*account).or_insert(debt);
            }
        }
        for account in self.debts.keys() {
            waiting.debts.remove(account);
        }
    }

    /// Adds what is told later, or failed.
    pub(super) fn extend(&mut self, later: Self) {
        self.words.extend(later.words);
        self.debts.extend(later.debts);
    }

    /// How many words and debts.
    pub(super) fn len(&self) -> usize {
        self.words.len() + self.debts.len()
    }
}

fn unreadable(shard: &Shard, error: &dyn fmt::Display) {
    shard.metrics().faults.inc();
    tracing::error!(%error, "an entry of the directory cannot be read");
}

#[cfg(test)]
mod tests {
    use wire::ids::{Epoch, MoveId};
    use wire::rpc::AccountState;

    use super::*;
    use crate::records::proto;

    fn id(octet: u8) -> AccountId {
        AccountId::from_bytes([octet; 16])
    }

    fn word(account: u8, epoch: u64) -> Word {
        Word {
            account: id(account),
            epoch: Epoch(epoch),
            state: AccountState::Active,
            elsewhere: None,
            limits: proto::Limits::default(),
            uid_validity: 7,
            keepers: Vec::new(),
        }
    }

    fn debt(account: u8, due: bool) -> Debt {
        Debt {
            account: id(account),
            move_id: MoveId::from_bytes([1; 16]),
            epoch: Epoch(5),
            due,
        }
    }

    fn news(words: &[Word], debts: &[Debt]) -> News {
        News {
            words: words
                .iter()
                .map(|word| (word.account, word.clone()))
                .collect(),
            debts: debts.iter().map(|debt| (debt.account, *debt)).collect(),
        }
    }

    #[test]
    fn later_news_take_the_place_of_what_waits_and_a_debt_comes_with_them() {
        let waits = [debt(1, false), debt(2, false), debt(3, false)];
        let mut waiting = news(&[word(1, 4), word(4, 4)], &waits);
        let mut later = news(&[word(1, 6), word(2, 6)], &[debt(2, true)]);
        later.supersede(&mut waiting);
        assert_eq!(later.debts.get(&id(1)), Some(&debt(1, false)));
        assert_eq!(later.debts.get(&id(2)), Some(&debt(2, true)));
        assert_eq!(later.words.get(&id(1)), Some(&word(1, 6)));
        assert_eq!(waiting.words.keys().collect::<Vec<_>>(), [&id(4)]);
        assert_eq!(waiting.debts.keys().collect::<Vec<_>>(), [&id(3)]);
    }
}
