//! Whether a request that was routed by some epoch may act on an account here.
//!
//! A shard serves the intersection of what it holds and what the directory says.

use strum::{IntoStaticStr, VariantNames};
use wire::ids::Epoch;

use super::Account;
use crate::records::proto::Holding;

/// What the directory last said about an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assigned {
    /// Its epoch.
    pub epoch: Epoch,
    /// Where, and in what state.
    pub place: Place,
}

/// Where the directory says an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Here; the shard is to make it.
    Creating,
    /// Here, in service.
    Active,
    /// Here, out of service: removed, or being purged.
    Removed,
    /// At another shard.
    Elsewhere,
}

/// What the request wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Look.
    Read,
    /// Change something.
    Write,
}

/// The answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Go on.
    Granted,
    /// Ask the directory for at least this epoch.
    Moved(Epoch),
    /// Wait for a change, bounded, then fail temporarily.
    NotYet(NotYet),
    /// As `NotYet`; after the wait the answer is `Moved(0)`.
    Unknown,
    /// The directory assigns it here and it is not: a person must look.
    Missing,
}

/// What is to come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum NotYet {
    /// Only whoever sent the request knows of its epoch.
    #[error("the shard has not heard of that epoch yet")]
    EpochUnheard,
    /// The shard holds it, and the directory has said nothing of it.
    #[error("the directory does not name this shard for the account")]
    NotNamed,
    /// The shard holds a later epoch than the directory has told it of.
    #[error("the directory's word on that epoch has not come yet")]
    WordOutstanding,
    /// Its first record is on its way.
    #[error("the account is being created")]
    Creating,
    /// Its owner's record is on its way.
    #[error("the account is being activated")]
    Activating,
    /// Fenced: it can be read.
    #[error("the account is being moved")]
    Moving,
    /// Fenced, and the directory was asked by whoever reads.
    #[error("the directory does not say whether the account's move is decided")]
    Unproven,
    /// It was removed, and is in service again.
    #[error("the account is being restored")]
    Restoring,
    /// A move brings it.
    #[error("the account is being built")]
    Building,
}

/// Decides; `held` is what the heap says, `assigned` what the directory says.
pub fn access(
    held: Option<&Account>,
    assigned: Option<Assigned>,
    epoch: Epoch,
    intent: Intent,
) -> Access {
    let held_epoch = held.map(|account| account.epoch).unwrap_or_default();
    let assigned_epoch = assigned.map(|assigned| assigned.epoch).unwrap_or_default();
    let known = held_epoch.max(assigned_epoch);
    if epoch < known {
        return Access::Moved(known);
    }
    if epoch > known {
        return match (held, assigned) {
            (None, None) => Access::Unknown,
            _ => Access::NotYet(NotYet::EpochUnheard),
        };
    }
    match assigned {
        None => Access::NotYet(NotYet::NotNamed),
        Some(assigned) if assigned.epoch < epoch => Access::NotYet(NotYet::WordOutstanding),
        Some(assigned) => match assigned.place {
            Place::Removed | Place::Elsewhere => Access::Moved(known),
            Place::Creating => Access::NotYet(NotYet::Creating),
            Place::Active => serving(held, epoch, intent),
        },
    }
}

/// The directory says: here, active, at `epoch`.
fn serving(held: Option<&Account>, epoch: Epoch, intent: Intent) -> Access {
    let Some(account) = held else {
        return Access::Missing;
    };
    if account.epoch < epoch {
        return Access::NotYet(NotYet::Activating);
    }
    match (account.holding, intent) {
        (Holding::Owner, _) | (Holding::Fenced, Intent::Read) => Access::Granted,
        (Holding::Fenced, Intent::Write) => Access::NotYet(NotYet::Moving),
        (Holding::Suspended, _) => Access::NotYet(NotYet::Restoring),
        (Holding::Building, _) => Access::NotYet(NotYet::Building),
        (Holding::Released | Holding::Tombstone | Holding::Unspecified, _) => Access::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::tests::held;

    fn at(epoch: u64, place: Place) -> Option<Assigned> {
        let epoch = Epoch(epoch);
        Some(Assigned { epoch, place })
    }

    /// Answers at epochs 1 to 4, to a read and to a write, in one word each.
    fn answers(held: Option<&Account>, assigned: Option<Assigned>) -> [String; 2] {
        [Intent::Read, Intent::Write].map(|intent| {
            let answer = |epoch| match access(held, assigned, Epoch(epoch), intent) {
                Access::Granted => "yes".to_owned(),
                Access::Moved(epoch) => format!("moved{epoch}"),
                Access::NotYet(_) => "wait".to_owned(),
                Access::Unknown => "unknown".to_owned(),
                Access::Missing => "missing".to_owned(),
            };
            [1, 2, 3, 4].map(answer).join(" ")
        })
    }

    #[test]
    fn the_table() {
        use Holding::{Building, Fenced, Owner, Released, Suspended, Tombstone};
        use Place::{Active, Creating, Elsewhere, Removed};
        let both = |answer: &str| [answer.to_owned(), answer.to_owned()];
        for (holding, assigned, expected) in [
            (
                Some((Owner, 2)),
                at(2, Active),
                both("moved2 yes wait wait"),
            ),
            (
                Some((Owner, 2)),
                at(3, Active),
                both("moved3 moved3 wait wait"),
            ),
            (
                Some((Owner, 2)),
                at(1, Active),
                both("moved2 wait wait wait"),
            ),
            (Some((Owner, 2)), None, both("moved2 wait wait wait")),
            (
                Some((Owner, 2)),
                at(2, Removed),
                both("moved2 moved2 wait wait"),
            ),
            (
                Some((Owner, 2)),
                at(3, Elsewhere),
                both("moved3 moved3 moved3 wait"),
            ),
            (
                Some((Building, 2)),
                at(3, Active),
                both("moved3 moved3 wait wait"),
            ),
            (Some((Building, 2)), None, both("moved2 wait wait wait")),
            (
                Some((Suspended, 3)),
                at(3, Removed),
                both("moved3 moved3 moved3 wait"),
            ),
            (
                Some((Suspended, 3)),
                at(3, Active),
                both("moved3 moved3 wait wait"),
            ),
            (
                Some((Released, 3)),
                at(3, Elsewhere),
                both("moved3 moved3 moved3 wait"),
            ),
            (
                Some((Tombstone, 3)),
                at(3, Active),
                both("moved3 moved3 missing wait"),
            ),
            (None, at(2, Creating), both("moved2 wait wait wait")),
            (None, at(2, Active), both("moved2 missing wait wait")),
            (None, None, both("unknown unknown unknown unknown")),
            (
                Some((Fenced, 2)),
                at(2, Active),
                [
                    "moved2 yes wait wait".to_owned(),
                    "moved2 wait wait wait".to_owned(),
                ],
            ),
        ] {
            let account = holding.map(|(holding, epoch)| held(holding, epoch, None));
            let found = answers(account.as_ref(), assigned);
            assert_eq!(found, expected, "{holding:?} {assigned:?}");
        }
    }
}
