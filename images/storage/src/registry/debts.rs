//! What this shard owes: to have nothing of an account that is older than an epoch, since a decided
//! move has given it to another shard. Pure.
//!
//! | debt at epoch c | held here | what follows |
//! |---|---|---|
//! | not due | Fenced < c | released at c: nothing is served, the data stays |
//! | not due | anything else | nothing |
//! | due | nothing; Building, Fenced, Released, Tombstone < c; Released c | drop, keep a tombstone at c, say that it is paid |
//! | due | Building, Tombstone c; anything > c | it is paid |
//! | due | Owner, Suspended, Fenced c; Owner, Suspended < c | a fault: it stays as it is, and is not paid |
//!
//! What is older than c cannot be of use to a later move: that has begun at c or later.

use wire::ids::{AccountId, Epoch, IdError, MoveId};
use wire::rpc;

use crate::account::Account;
use crate::account::command::word;
use crate::records::Change;
use crate::records::proto::{self, Holding};

/// A debt, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Debt {
    /// The account.
    pub account: AccountId,
    /// The decided move.
    pub move_id: MoveId,
    /// The account has this epoch since, or a later one.
    pub epoch: Epoch,
    /// The account's shard has said that it has the account, or it is gone.
    pub due: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Payment {
    /// Nothing yet.
    Nothing,
    /// Make this durable; is it paid then?
    Write(Change, bool),
    /// There is nothing here: it is paid.
    Paid,
    /// A person must look.
    Fault(String),
}

impl Debt {
    /// Reads a debt.
    pub fn read(debt: &rpc::Debt) -> Result<Self, IdError> {
        Ok(Self {
            account: AccountId::from_slice(&debt.account)?,
            move_id: MoveId::from_slice(&debt.move_id)?,
            epoch: Epoch(debt.epoch),
            due: debt.due,
        })
    }

    /// How it is told when it is paid.
    pub fn paid(&self) -> rpc::Debt {
        rpc::Debt {
            account: self.account.to_field(),
            move_id: self.move_id.to_field(),
            epoch: self.epoch.0,
            due: true,
        }
    }

    /// Decides; `held` is what this shard is to the account.
    pub fn payment(&self, held: Option<&Account>) -> Payment {
        match self.due {
            true => self.settle(held),
            false => self.release(held),
        }
    }

    fn release(&self, held: Option<&Account>) -> Payment {
        let fenced =
            |account: &&Account| account.holding == Holding::Fenced && account.epoch < self.epoch;
        match held.filter(fenced) {
            Some(_) => Payment::Write(self.become_(Holding::Released), false),
            None => Payment::Nothing,
        }
    }

    fn settle(&self, held: Option<&Account>) -> Payment {
        let drop = || Payment::Write(self.become_(Holding::Tombstone), true);
        let Some(account) = held else {
            return drop();
        };
        if account.epoch > self.epoch {
            return Payment::Paid;
        }
        let older = account.epoch < self.epoch;
        match account.holding {
            Holding::Tombstone | Holding::Building if !older => Payment::Paid,
            Holding::Fenced if !older => self.fault(account),
            Holding::Building
            | Holding::Fenced
            | Holding::Released
            | Holding::Tombstone
            | Holding::Unspecified => drop(),
            Holding::Owner | Holding::Suspended => self.fault(account),
        }
    }

    fn become_(&self, holding: Holding) -> Change {
        Change::Ownership(proto::Ownership {
            epoch: self.epoch.0,
            holding: holding.into(),
            move_id: self.move_id.to_field(),
            peer: String::new(),
        })
    }

    fn fault(&self, account: &Account) -> Payment {
        Payment::Fault(format!(
            "move {} has taken the account away at epoch {}, and the shard is its {} at epoch {}",
            self.move_id,
            self.epoch,
            word(account.holding),
            account.epoch
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::tests::held;

    /// What follows from a debt at epochs 4, 5 and 6 of what is held at epoch 5.
    fn row(holding: Option<Holding>, due: bool) -> String {
        let account = holding.map(|holding| held(holding, 5, None));
        let at = |epoch| {
            let debt = Debt {
                account: AccountId::from_bytes([3; 16]),
                move_id: MoveId::from_bytes([1; 16]),
                epoch: Epoch(epoch),
                due,
            };
            match debt.payment(account.as_ref()) {
                Payment::Nothing => "-",
                Payment::Paid => "paid",
                Payment::Fault(_) => "fault",
                Payment::Write(Change::Ownership(ownership), true) => {
                    assert_eq!(ownership.holding(), Holding::Tombstone);
                    "drop"
                }
                Payment::Write(Change::Ownership(ownership), false) => {
                    assert_eq!(ownership.holding(), Holding::Released);
                    "release"
                }
                Payment::Write(..) => "?",
            }
        };
        [4, 5, 6].map(at).join(" ")
    }

    #[test]
    fn the_table() {
        use Holding::{Building, Fenced, Owner, Released, Suspended, Tombstone};
        for (holding, early, due) in [
            (None, "- - -", "drop drop drop"),
            (Some(Building), "- - -", "paid paid drop"),
            (Some(Fenced), "- - release", "paid fault drop"),
            (Some(Released), "- - -", "paid drop drop"),
            (Some(Tombstone), "- - -", "paid paid drop"),
            (Some(Owner), "- - -", "paid fault fault"),
            (Some(Suspended), "- - -", "paid fault fault"),
        ] {
            assert_eq!(row(holding, false), early, "{holding:?} not due");
            assert_eq!(row(holding, true), due, "{holding:?} due");
        }
    }
}
