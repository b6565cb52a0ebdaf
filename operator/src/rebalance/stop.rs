//! Moves that were asked for and have not begun, and whose reason is gone: pure.

use std::collections::{BTreeMap, BTreeSet};

use crds::mail_cluster::RebalanceMode;
use plan::{Load, Standing};
use wire::rpc::{Move, MovePhase};

/// What a move was asked for, as the directory keeps it with the move.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tag {
    /// Its shard leaves.
    Leaving,
    /// Shards are uneven, and the mode is Auto.
    Auto,
    /// This plan was approved.
    Plan(String),
}

const LEAVING: &str = "leaving";
const AUTO: &str = "auto";

impl Tag {
    /// The tag of a move; none: somebody else asked for it.
    pub fn of(told: &Move) -> Option<Self> {
        match told.plan.as_str() {
            "" => None,
            LEAVING => Some(Self::Leaving),
            AUTO => Some(Self::Auto),
            plan => Some(Self::Plan(plan.to_owned())),
        }
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Leaving => LEAVING,
            Self::Auto => AUTO,
            Self::Plan(plan) => plan,
        }
    }
}

/// From which shards moves of which tag are to be given up, as long as they have not begun: a shard
/// does not leave any more, the mode is another, or the plan runs no more. What people asked for goes
/// on.
pub fn stale(
    moves: &[Move],
    loads: &[Load],
    mode: RebalanceMode,
    running: Option<&str>,
) -> BTreeSet<(String, Tag)> {
    let standings: BTreeMap<&str, Standing> = loads
        .iter()
        .map(|load| (load.shard.as_str(), load.standing))
        .collect();
    let is_wanted = |source: &str, tag: &Tag| match tag {
        // Of a shard that is not known nobody can say that it stays.
        Tag::Leaving => match standings.get(source) {
            Some(Standing::Active | Standing::Cordoned) => false,
            Some(Standing::Leaving) | None => true,
        },
        Tag::Auto => match mode {
            RebalanceMode::Auto => true,
            RebalanceMode::DryRun | RebalanceMode::Disabled => false,
        },
        Tag::Plan(plan) => running == Some(plan),
    };
    let planned = moves
        .iter()
        .filter(|told| told.phase() == MovePhase::Planned);
    let tagged = planned.filter_map(|told| Some((told.source.clone(), Tag::of(told)?)));
    tagged
        .filter(|(source, tag)| !is_wanted(source, tag))
        .collect()
}

/// Whether it is not decided yet where the account is to be.
pub fn is_open(phase: MovePhase) -> bool {
    match phase {
        MovePhase::Planned | MovePhase::Copying | MovePhase::Fencing | MovePhase::Verified => true,
        MovePhase::Done | MovePhase::Aborted | MovePhase::Unspecified => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(source: &str, plan: &str, phase: MovePhase) -> Move {
        Move {
            source: source.to_owned(),
            plan: plan.to_owned(),
            phase: phase.into(),
            ..Move::default()
        }
    }

    fn load(shard: &str, standing: Standing) -> Load {
        Load {
            shard: shard.parse().unwrap(),
            standing,
            serving: true,
            weight: 100,
            accounts: 1,
            bytes: 1,
            volume: None,
        }
    }

    #[test]
    fn what_has_lost_its_reason_is_given_up() {
        use RebalanceMode::{Auto, Disabled, DryRun};
        let loads = [
            load("stays", Standing::Active),
            load("aside", Standing::Cordoned),
            load("leaves", Standing::Leaving),
        ];
        for (source, plan, mode, running, is_stale) in [
            ("stays", "leaving", Auto, None, true),
            ("aside", "leaving", Disabled, None, true),
            ("leaves", "leaving", Disabled, None, false),
            ("unknown", "leaving", Auto, None, false),
            ("stays", "auto", Auto, None, false),
            ("stays", "auto", DryRun, Some("7f3a"), true),
            ("leaves", "auto", Disabled, None, true),
            ("stays", "7f3a", DryRun, Some("7f3a"), false),
            ("stays", "7f3a", DryRun, Some("7f3b"), true),
            ("stays", "7f3a", DryRun, None, true),
            ("stays", "7f3a", Auto, None, true),
            ("stays", "", Disabled, None, false),
        ] {
            let moves = [told(source, plan, MovePhase::Planned)];
            let found = stale(&moves, &loads, mode, running);
            let case = format!("{source} {plan} {mode:?} {running:?}");
            assert_eq!(!found.is_empty(), is_stale, "{case}");
            for begun in [MovePhase::Copying, MovePhase::Verified, MovePhase::Done] {
                let moves = [told(source, plan, begun)];
                assert!(stale(&moves, &loads, mode, running).is_empty(), "{case}");
            }
        }
    }

    #[test]
    fn a_tag_is_read_as_it_was_written() {
        for tag in [Tag::Leaving, Tag::Auto, Tag::Plan("7f3a".to_owned())] {
            let told = told("a", tag.as_str(), MovePhase::Planned);
            assert_eq!(Tag::of(&told), Some(tag));
        }
    }
}
