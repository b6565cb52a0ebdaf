//! Which copies a transaction makes: one per account, however many addresses lead there.

use std::collections::HashMap;

use bytes::Bytes;

use super::Fate;
use crate::received;
use crate::session::{Delivered, Target, Transaction};

/// One account's copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Where it goes.
    pub target: Target,
    /// The header lines that only this copy has.
    pub prefix: Bytes,
}

/// All copies, and which recipient leads to which.
#[derive(Debug)]
pub struct Copies {
    /// One per account.
    pub all: Vec<Copy>,
    /// Per recipient of the transaction, in order: indices of its copies.
    pub of_recipient: Vec<Vec<usize>>,
}

impl Copies {
    /// The copies of a transaction. An account's Delivered-To is the first recipient that led to it.
    pub fn of(transaction: &Transaction) -> Self {
        let (mut all, mut by_account) = (Vec::new(), HashMap::new());
        let mut of_recipient = Vec::with_capacity(transaction.recipients.len());
        for recipient in &transaction.recipients {
            let path = recipient.path.to_string();
            let indices = recipient.targets.iter().map(|target| {
                *by_account.entry(target.account).or_insert_with(|| {
                    let prefix = received::prefix(&transaction.from, &path);
                    all.push(Copy {
                        target: target.clone(),
                        prefix,
                    });
                    all.len() - 1
                })
            });
            of_recipient.push(indices.collect());
        }
        Self { all, of_recipient }
    }

    /// What became of each recipient. `queued` says which copies are durable in the spool.
    pub fn delivered(&self, fates: &[Fate], queued: &[bool]) -> Vec<Delivered> {
        let one = |indices: &Vec<usize>| {
            let each = indices.iter().map(|&index| match fates[index] {
                _ if queued[index] => Delivered::Queued,
                Fate::Stored(_) => Delivered::Stored,
                Fate::Duplicate(_) => Delivered::Duplicate,
                Fate::Gone => Delivered::Gone,
                Fate::Never(_) => Delivered::Never,
                Fate::Pending(_) | Fate::Away { .. } => Delivered::Deferred,
            });
            each.min_by_key(|delivered| rank(*delivered))
                .unwrap_or(Delivered::Deferred)
        };
        self.of_recipient.iter().map(one).collect()
    }
}

/// What counts for an alias with several accounts: the least certain first, and no copy is lost
/// without a word. One whose account is gone does not hold up the others.
fn rank(delivered: Delivered) -> u8 {
    match delivered {
        Delivered::Deferred | Delivered::NoRoom => 0,
        Delivered::Never => 1,
        Delivered::Queued => 2,
        Delivered::Stored => 3,
        Delivered::Duplicate => 4,
        Delivered::Gone => 5,
    }
}

#[cfg(test)]
mod tests {
    use wire::ids::{AccountId, Epoch, TransactionId};
    use wire::smtp::{ForwardPath, ReversePath};

    use super::*;
    use crate::deliver::Place;
    use crate::session::Recipient;

    fn target(account: AccountId) -> Target {
        Target {
            account,
            address: "primary@b.example".into(),
            shard: "shard-1".parse().unwrap(),
            endpoint: String::new(),
            epoch: Epoch(1),
            stale: false,
        }
    }

    fn transaction(recipients: &[(&str, &[AccountId])]) -> Transaction {
        let recipients = recipients.iter().map(|(path, accounts)| Recipient {
            path: ForwardPath::parse(path).unwrap().0,
            targets: accounts.iter().map(|account| target(*account)).collect(),
        });
        Transaction::with(
            TransactionId::random(),
            ReversePath::Null,
            recipients.collect(),
        )
    }

    #[test]
    fn one_copy_per_account() {
        let (a, b) = (AccountId::random(), AccountId::random());
        let copies = Copies::of(&transaction(&[
            ("<A@b.example>", &[a]),
            ("<alias@b.example>", &[b, a]),
            ("<a+x@b.example>", &[a]),
        ]));
        assert_eq!(copies.of_recipient, [vec![0], vec![1, 0], vec![0]]);
        let prefixes: Vec<_> = copies.all.iter().map(|copy| copy.prefix.clone()).collect();
        assert_eq!(
            prefixes,
            [
                "Return-Path: <>\r\nDelivered-To: A@b.example\r\n",
                "Return-Path: <>\r\nDelivered-To: alias@b.example\r\n",
            ]
        );
    }

    #[test]
    fn the_least_certain_copy_counts() {
        let (a, b) = (AccountId::random(), AccountId::random());
        let copies = Copies::of(&transaction(&[
            ("<a@b.example>", &[a]),
            ("<x@b.example>", &[a, b]),
        ]));
        let place = Place {
            uid_validity: 1,
            uid: 1,
        };
        let (stored, pending) = (Fate::Stored(place), Fate::Pending("slow".into()));
        let away = Fate::Away {
            shard: "shard-1".parse().unwrap(),
            how: crate::spool::NoAnswer::Refused,
            reason: "down".into(),
        };
        for (second, queued, expected) in [
            (stored.clone(), false, Delivered::Stored),
            (Fate::Duplicate(place), false, Delivered::Stored),
            (Fate::Gone, false, Delivered::Stored),
            (Fate::Never("too large".into()), false, Delivered::Never),
            (Fate::Never("too large".into()), true, Delivered::Queued),
            (pending.clone(), false, Delivered::Deferred),
            (away, false, Delivered::Deferred),
            (pending, true, Delivered::Queued),
        ] {
            let fates = [stored.clone(), second];
            let delivered = copies.delivered(&fates, &[false, queued]);
            assert_eq!(delivered, [Delivered::Stored, expected]);
        }
    }
}
