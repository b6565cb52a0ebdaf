//! Whether a planned move begins: pure.

use wire::rpc::ShardState;

use super::facts::MoveFacts;
use super::room::NoRoom;

/// What admission looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation {
    /// State of the target shard.
    pub(crate) target: ShardState,
    /// The target holds its lease.
    pub(crate) target_live: bool,
    /// The source holds its lease.
    pub(crate) source_live: bool,
    /// Whether the target has room for the account.
    pub(crate) room: Result<(), NoRoom>,
    /// The target has still to drop what an earlier move of the account left there.
    pub(crate) target_owes: bool,
    /// The form of the copy that the source writes.
    pub(crate) source_format: u32,
    /// The newest form that the target reads.
    pub(crate) target_format: u32,
}

/// Whether a planned move begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Now.
    Begin,
    /// Later; says what it waits for.
    Wait(String),
    /// Never; says why.
    Abort(String),
}

/// Decides whether a planned move that has its place begins.
pub(crate) fn admit(facts: &MoveFacts, situation: &Situation) -> Admission {
    let (source, target) = (&facts.source, &facts.target);
    if situation.target != ShardState::Active {
        return Admission::Abort(format!("{target} takes no accounts: it is not Active"));
    }
    if !situation.source_live {
        return Admission::Wait(format!("{source} holds no lease"));
    }
    if !situation.target_live {
        return Admission::Wait(format!("{target} holds no lease"));
    }
    if situation.target_format < situation.source_format {
        return Admission::Wait(format!("{target} runs an older release than {source}"));
    }
    if situation.target_owes {
        return Admission::Wait(format!("{target} has not yet dropped what it had before"));
    }
    match situation.room {
        Err(NoRoom::NearlyFull) => Admission::Abort(format!("{target} is nearly full")),
        Err(NoRoom::Free(free)) => Admission::Abort(format!(
            "{target} has room for {free} bytes beside other moves, and the account needs more"
        )),
        Ok(()) => Admission::Begin,
    }
}

#[cfg(test)]
mod tests {
    use wire::rpc::MovePhase;

    use super::super::facts::tests::example;
    use super::*;

    fn free() -> Situation {
        Situation {
            target: ShardState::Active,
            target_live: true,
            source_live: true,
            room: Ok(()),
            target_owes: false,
            source_format: 2,
            target_format: 2,
        }
    }

    #[test]
    fn admission_waits_or_aborts_with_a_reason() {
        let admit = |situation| admit(&example(MovePhase::Planned), &situation);
        assert_eq!(admit(free()), Admission::Begin);
        assert_eq!(
            admit(Situation {
                target_format: 3,
                ..free()
            }),
            Admission::Begin
        );
        for waits in [
            Situation {
                target_format: 1,
                ..free()
            },
            Situation {
                target_live: false,
                ..free()
            },
            Situation {
                source_live: false,
                ..free()
            },
            Situation {
                target_owes: true,
                ..free()
            },
        ] {
            assert!(matches!(admit(waits), Admission::Wait(_)), "{waits:?}");
        }
        for aborts in [
            Situation {
                target: ShardState::Cordoned,
                ..free()
            },
            Situation {
                target: ShardState::Retired,
                ..free()
            },
            Situation {
                room: Err(NoRoom::Free(7)),
                ..free()
            },
            Situation {
                room: Err(NoRoom::NearlyFull),
                ..free()
            },
        ] {
            assert!(matches!(admit(aborts), Admission::Abort(_)), "{aborts:?}");
        }
    }
}
