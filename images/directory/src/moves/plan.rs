//! What a move does next, and what a failed step leads to: pure.

use std::time::Duration;

use wire::rpc::{MovePhase, ShardState};

use super::facts::{Fence, MoveFacts};

/// The step that belongs to the record (see the module's table).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Check that the move can begin.
    Admit,
    /// Target: make the account.
    Prepare,
    /// Source: stop writes.
    Fence,
    /// Target: copy what the fence fixed; both: digest.
    Copy(Fence),
    /// Change the map.
    Switch,
    /// Target serves, then source releases.
    HandOver,
    /// Not yet: ask again after this long.
    Wait(Duration),
    /// Target confirms, then source drops.
    Retire,
    /// Aborted: both sides clean up.
    Settle,
    /// It is over.
    Nothing,
}

/// Decides by the record alone; `grace` is how long a source keeps the data after the switch.
pub(crate) fn step(facts: &MoveFacts, now_ms: i64, grace: Duration) -> Step {
    match facts.phase {
        MovePhase::Planned => Step::Admit,
        MovePhase::Copying => Step::Prepare,
        MovePhase::Fencing => facts.fence.map_or(Step::Fence, Step::Copy),
        MovePhase::Verified => Step::Switch,
        MovePhase::Switched => Step::HandOver,
        MovePhase::Serving => {
            let left = grace.saturating_sub(age(facts, now_ms));
            if left.is_zero() {
                Step::Retire
            } else {
                Step::Wait(left)
            }
        }
        MovePhase::Aborted if !facts.is_settled() => Step::Settle,
        MovePhase::Aborted | MovePhase::Done | MovePhase::Unspecified => Step::Nothing,
    }
}

/// How long the move has been in its phase.
fn age(facts: &MoveFacts, now_ms: i64) -> Duration {
    let millis = now_ms.saturating_sub(facts.changed_at_ms);
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// What admission looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation {
    /// State of the target shard.
    pub(crate) target: ShardState,
    /// The target holds its lease.
    pub(crate) target_live: bool,
    /// The source holds its lease.
    pub(crate) source_live: bool,
    /// Free octets on the target's volume, when it has said so.
    pub(crate) target_free: Option<u64>,
    /// Octets of the account, when the source has said so.
    pub(crate) account_bytes: Option<u64>,
    /// Other moves under way that leave the source.
    pub(crate) moves_out: usize,
    /// Other moves under way that come to the target.
    pub(crate) moves_in: usize,
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

/// A move needs this many times the account's octets free on the target: room for the records
/// around the messages, and so that the copy does not fill the volume.
const ROOM: u64 = 2;

/// Decides whether a planned move begins; `limit` is for moves per source and per target.
pub(crate) fn admit(facts: &MoveFacts, situation: &Situation, limit: usize) -> Admission {
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
    if situation.moves_out >= limit {
        return Admission::Wait(format!("{limit} other moves leave {source}"));
    }
    if situation.moves_in >= limit {
        return Admission::Wait(format!("{limit} other moves come to {target}"));
    }
    match (situation.target_free, situation.account_bytes) {
        (Some(free), Some(bytes)) if free < bytes.saturating_mul(ROOM) => Admission::Abort(
            format!("{target} has {free} bytes free, the account has {bytes}"),
        ),
        _ => Admission::Begin,
    }
}

/// Why a step did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A shard did not answer, or said that it cannot now.
    Away(String),
    /// A shard refuses: it has seen a later epoch or move, or never had the account.
    Refused(String),
    /// An incarnation is another than the one recorded.
    OtherIncarnation(String),
    /// Source and target do not have the same.
    DigestsDiffer,
}

/// What follows a failed step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Consequence {
    /// The same step again, after a while.
    Again(String),
    /// Back to the fence: what it answered holds no longer.
    FenceAgain(String),
    /// The move ends.
    Abort(String),
}

/// Decides what follows a failed step; a move that is before the switch and has stayed in its
/// phase for `stall_limit` ends, so that the account's writes do not wait for ever.
pub(crate) fn after(
    facts: &MoveFacts,
    failure: Failure,
    now_ms: i64,
    stall_limit: Duration,
) -> Consequence {
    let stalled = facts.phase != MovePhase::Planned && age(facts, now_ms) >= stall_limit;
    match failure {
        Failure::Away(why) | Failure::Refused(why) | Failure::OtherIncarnation(why)
            if !facts.is_before_switch() =>
        {
            Consequence::Again(why)
        }
        Failure::DigestsDiffer => {
            Consequence::Abort("source and target differ after the copy".to_owned())
        }
        Failure::Away(why) | Failure::OtherIncarnation(why) if stalled => Consequence::Abort(
            format!("no progress for {} s: {why}", stall_limit.as_secs()),
        ),
        Failure::OtherIncarnation(why) => Consequence::FenceAgain(why),
        Failure::Away(why) if facts.fence.is_some() => Consequence::FenceAgain(why),
        Failure::Away(why) => Consequence::Again(why),
        Failure::Refused(why) => Consequence::Abort(why),
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::example;
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);
    const STALL: Duration = Duration::from_secs(60);

    fn free() -> Situation {
        Situation {
            target: ShardState::Active,
            target_live: true,
            source_live: true,
            target_free: Some(1_000),
            account_bytes: Some(100),
            moves_out: 0,
            moves_in: 0,
        }
    }

    #[test]
    fn each_phase_has_its_step() {
        let at = |phase| step(&example(phase), 2_000, GRACE);
        assert_eq!(at(MovePhase::Planned), Step::Admit);
        assert_eq!(at(MovePhase::Copying), Step::Prepare);
        assert!(matches!(at(MovePhase::Fencing), Step::Copy(_)));
        assert_eq!(at(MovePhase::Verified), Step::Switch);
        assert_eq!(at(MovePhase::Switched), Step::HandOver);
        assert_eq!(at(MovePhase::Serving), Step::Wait(GRACE));
        assert_eq!(at(MovePhase::Aborted), Step::Settle);
        assert_eq!(at(MovePhase::Done), Step::Nothing);
        let unfenced = MoveFacts {
            fence: None,
            ..example(MovePhase::Fencing)
        };
        assert_eq!(step(&unfenced, 2_000, GRACE), Step::Fence);
        assert_eq!(
            step(&example(MovePhase::Serving), 7_000, GRACE),
            Step::Retire
        );
        let settled = MoveFacts {
            source_settled: true,
            target_settled: true,
            ..example(MovePhase::Aborted)
        };
        assert_eq!(step(&settled, 2_000, GRACE), Step::Nothing);
    }

    #[test]
    fn a_clock_that_went_back_lengthens_the_grace_at_most() {
        assert_eq!(
            step(&example(MovePhase::Serving), 0, GRACE),
            Step::Wait(GRACE)
        );
    }

    #[test]
    fn admission_waits_or_aborts_with_a_reason() {
        let admit = |situation| admit(&example(MovePhase::Planned), &situation, 2);
        assert_eq!(admit(free()), Admission::Begin);
        assert_eq!(
            admit(Situation {
                account_bytes: None,
                ..free()
            }),
            Admission::Begin
        );
        for waits in [
            Situation {
                target_live: false,
                ..free()
            },
            Situation {
                source_live: false,
                ..free()
            },
            Situation {
                moves_in: 2,
                ..free()
            },
            Situation {
                moves_out: 2,
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
                account_bytes: Some(501),
                ..free()
            },
        ] {
            assert!(matches!(admit(aborts), Admission::Abort(_)), "{aborts:?}");
        }
    }

    #[test]
    fn after_the_switch_nothing_aborts() {
        for phase in [MovePhase::Switched, MovePhase::Serving, MovePhase::Aborted] {
            for failure in [
                Failure::Away("x".into()),
                Failure::Refused("x".into()),
                Failure::OtherIncarnation("x".into()),
            ] {
                let consequence = after(&example(phase), failure, i64::MAX, STALL);
                assert_eq!(consequence, Consequence::Again("x".into()));
            }
        }
    }

    #[test]
    fn before_the_switch_a_failure_leads_back_or_out() {
        let soon = |phase, failure| after(&example(phase), failure, 2_001, STALL);
        let away = || Failure::Away("x".into());
        assert_eq!(
            soon(MovePhase::Copying, away()),
            Consequence::Again("x".into())
        );
        assert_eq!(
            soon(MovePhase::Fencing, away()),
            Consequence::FenceAgain("x".into())
        );
        let refused = soon(MovePhase::Copying, Failure::Refused("no".into()));
        assert_eq!(refused, Consequence::Abort("no".into()));
        let other = soon(MovePhase::Verified, Failure::OtherIncarnation("x".into()));
        assert_eq!(other, Consequence::FenceAgain("x".into()));
        let differ = soon(MovePhase::Fencing, Failure::DigestsDiffer);
        assert!(matches!(differ, Consequence::Abort(_)));
    }

    #[test]
    fn a_stalled_move_ends_but_a_planned_one_waits() {
        let late = |phase| after(&example(phase), Failure::Away("x".into()), 62_000, STALL);
        assert!(matches!(late(MovePhase::Fencing), Consequence::Abort(_)));
        assert_eq!(late(MovePhase::Planned), Consequence::Again("x".into()));
    }
}
