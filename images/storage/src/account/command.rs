//! The commands of a move, decided by what this shard is to the account.
//!
//! Each is idempotent, and refused for good once the shard has durably seen a later epoch; so a
//! command that was delayed on its way can do no harm.
//!
//! | command (epoch c) | acts on | makes it | no change on |
//! |---|---|---|---|
//! | Prepare | nothing, Released or Tombstone ≤ c, Building < c | Building c | Building c of this move |
//! | Fence | Owner, Suspended c | Fenced c | Fenced c of this move |

use wire::ids::{Epoch, MoveId};

use super::Account;
use crate::records::proto::{self, Holding};

/// A command that may change what this shard is to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Target: an empty, invisible account.
    Prepare,
    /// Source: no more writes.
    Fence,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What to do.
    pub verb: Verb,
    /// For which move.
    pub move_id: MoveId,
    /// At which epoch.
    pub epoch: Epoch,
    /// The other shard.
    pub peer: String,
}

/// What a command comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// It is so already.
    Already,
    /// Write this.
    Write(proto::Ownership),
}

/// Why a command is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Never: the shard has seen something later, or is not what the command takes it for.
    #[error("{0}")]
    Never(String),
    /// The shard has not come so far yet: send it again.
    #[error("{0}")]
    NotYet(String),
}

impl Command {
    /// Decides; `held` is what this shard is to the account.
    pub fn decide(&self, held: Option<&Account>) -> Result<Step, Refusal> {
        if held.is_some_and(|account| account.epoch > self.epoch) {
            return Err(self.never(held));
        }
        match self.verb {
            Verb::Prepare => self.prepare(held),
            Verb::Fence => self.fence(held),
        }
    }

    fn prepare(&self, held: Option<&Account>) -> Result<Step, Refusal> {
        match held.map(|account| account.holding) {
            None | Some(Holding::Released | Holding::Tombstone) => {
                Ok(self.write(Holding::Building))
            }
            // An earlier move's: it is decided, and not for this shard.
            Some(Holding::Building) if !self.is_epoch(held) => Ok(self.write(Holding::Building)),
            Some(Holding::Building) if self.is_mine(held) => Ok(Step::Already),
            _ => Err(self.never(held)),
        }
    }

    fn fence(&self, held: Option<&Account>) -> Result<Step, Refusal> {
        match held.map(|account| account.holding) {
            Some(Holding::Owner | Holding::Suspended | Holding::Fenced) if !self.is_epoch(held) => {
                Err(self.not_yet(held))
            }
            Some(Holding::Owner | Holding::Suspended) => Ok(self.write(Holding::Fenced)),
            Some(Holding::Fenced) if self.is_mine(held) => Ok(Step::Already),
            _ => Err(self.never(held)),
        }
    }

    fn write(&self, holding: Holding) -> Step {
        Step::Write(proto::Ownership {
            epoch: self.epoch.0,
            holding: holding.into(),
            move_id: self.move_id.to_field(),
            peer: self.peer.clone(),
        })
    }

    fn is_mine(&self, held: Option<&Account>) -> bool {
        held.is_some_and(|account| account.move_id == Some(self.move_id))
    }

    fn is_epoch(&self, held: Option<&Account>) -> bool {
        held.is_some_and(|account| account.epoch == self.epoch)
    }

    fn never(&self, held: Option<&Account>) -> Refusal {
        Refusal::Never(self.sentence(held))
    }

    fn not_yet(&self, held: Option<&Account>) -> Refusal {
        Refusal::NotYet(self.sentence(held))
    }

    fn sentence(&self, held: Option<&Account>) -> String {
        let Self {
            verb,
            move_id,
            epoch,
            ..
        } = self;
        match held {
            None => format!("{verb:?} of move {move_id}: the shard does not have the account"),
            Some(account) => format!(
                "{verb:?} of move {move_id} at epoch {epoch}: the shard is at epoch {} as {}",
                account.epoch,
                word(account.holding)
            ),
        }
    }
}

/// A holding in one word, for logs and errors.
pub fn word(holding: Holding) -> &'static str {
    match holding {
        Holding::Unspecified => "nothing",
        Holding::Owner => "owner",
        Holding::Fenced => "fenced",
        Holding::Building => "building",
        Holding::Suspended => "suspended",
        Holding::Released => "released",
        Holding::Tombstone => "tombstone",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::tests::held;
    use crate::records::Change;

    const MOVE: MoveId = MoveId::from_bytes([1; 16]);
    const OTHER: MoveId = MoveId::from_bytes([2; 16]);

    /// Every state at epoch 5: of this move, of another, and finished Building.
    fn states() -> Vec<(String, Option<Account>)> {
        use Holding::{Building, Fenced, Owner, Released, Suspended, Tombstone};
        let mut states = vec![("none".to_owned(), None)];
        for holding in [Owner, Fenced, Building, Suspended, Released, Tombstone] {
            for (name, move_id) in [("mine", MOVE), ("other", OTHER)] {
                let account = held(holding, 5, Some(move_id));
                states.push((format!("{} {name}", word(holding)), Some(account)));
            }
        }
        let mut finished = Some(held(Building, 5, Some(MOVE)));
        let done = Change::ImportFinished(proto::ImportFinished::default());
        Account::apply(&mut finished, &done).unwrap();
        states.push(("finished mine".to_owned(), finished));
        states
    }

    fn outcome(verb: Verb, epoch: u64, held: Option<&Account>) -> String {
        let command = Command {
            verb,
            move_id: MOVE,
            epoch: Epoch(epoch),
            peer: "other".to_owned(),
        };
        match command.decide(held) {
            Ok(Step::Already) => "already".to_owned(),
            Ok(Step::Write(ownership)) => word(ownership.holding()).to_owned(),
            Err(Refusal::Never(_)) => "never".to_owned(),
            Err(Refusal::NotYet(_)) => "not yet".to_owned(),
        }
    }

    /// What is not in this table is refused for good.
    const ALLOWED: &[(Verb, &str, u64, &str)] = &[
        (Verb::Prepare, "none", 5, "building"),
        (Verb::Prepare, "none", 6, "building"),
        (Verb::Prepare, "released mine", 5, "building"),
        (Verb::Prepare, "released mine", 6, "building"),
        (Verb::Prepare, "released other", 5, "building"),
        (Verb::Prepare, "released other", 6, "building"),
        (Verb::Prepare, "tombstone mine", 5, "building"),
        (Verb::Prepare, "tombstone mine", 6, "building"),
        (Verb::Prepare, "tombstone other", 5, "building"),
        (Verb::Prepare, "tombstone other", 6, "building"),
        (Verb::Prepare, "building mine", 5, "already"),
        (Verb::Prepare, "finished mine", 5, "already"),
        (Verb::Prepare, "building mine", 6, "building"),
        (Verb::Prepare, "building other", 6, "building"),
        (Verb::Prepare, "finished mine", 6, "building"),
        (Verb::Fence, "owner mine", 5, "fenced"),
        (Verb::Fence, "owner other", 5, "fenced"),
        (Verb::Fence, "suspended mine", 5, "fenced"),
        (Verb::Fence, "suspended other", 5, "fenced"),
        (Verb::Fence, "suspended mine", 6, "not yet"),
        (Verb::Fence, "suspended other", 6, "not yet"),
        (Verb::Fence, "fenced mine", 5, "already"),
        (Verb::Fence, "owner mine", 6, "not yet"),
        (Verb::Fence, "owner other", 6, "not yet"),
        (Verb::Fence, "fenced mine", 6, "not yet"),
        (Verb::Fence, "fenced other", 6, "not yet"),
    ];

    #[test]
    fn every_command_in_every_state() {
        use Verb::{Fence, Prepare};
        for verb in [Prepare, Fence] {
            for (name, account) in states() {
                for epoch in [4, 5, 6] {
                    let expected = ALLOWED
                        .iter()
                        .find(|row| (row.0, row.1, row.2) == (verb, name.as_str(), epoch))
                        .map_or("never", |row| row.3);
                    let expected = match name.as_str() {
                        // Nothing was seen here, so no epoch is too old.
                        "none" => match verb {
                            Prepare => "building",
                            Fence => "never",
                        },
                        _ => expected,
                    };
                    let found = outcome(verb, epoch, account.as_ref());
                    assert_eq!(found, expected, "{verb:?} {name} {epoch}");
                }
            }
        }
    }
}
