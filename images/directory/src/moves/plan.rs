//! What a move does next, and what a failed step leads to: pure.

use std::time::Duration;

use wire::rpc::MovePhase;

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
    /// It is over.
    Nothing,
}

/// Decides by the record alone.
pub(crate) fn step(facts: &MoveFacts) -> Step {
    match facts.phase {
        MovePhase::Planned => Step::Admit,
        MovePhase::Copying => Step::Prepare,
        MovePhase::Fencing => facts.fence.map_or(Step::Fence, Step::Copy),
        MovePhase::Verified => Step::Switch,
        MovePhase::Done | MovePhase::Aborted | MovePhase::Unspecified => Step::Nothing,
    }
}

/// How long the move has been in its phase.
fn age(facts: &MoveFacts, now_ms: i64) -> Duration {
    since(facts.changed_at_ms, now_ms)
}

fn since(then_ms: i64, now_ms: i64) -> Duration {
    let millis = now_ms.saturating_sub(then_ms);
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// A command to a shard, by what its refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Target: make the account.
    Prepare,
    /// Source: stop writes.
    Fence,
    /// Target: pull the copy.
    Import,
    /// Either: what is there.
    Digest,
}

/// Why a step did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A shard did not answer, or said that it cannot now.
    Away(String),
    /// A shard refuses a command for good.
    Refused(Order, String),
    /// The target's volume is nearly full.
    NearlyFull(String),
    /// An incarnation is another than the one recorded.
    OtherIncarnation(String),
    /// Source and target do not have the same.
    DigestsDiffer,
    /// The account is gone, or another move's.
    Lost(String),
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

/// Copies that may break off in a move whose account is fenced for longer than the limit of a stall.
/// Each begins from nothing, so one that always breaks off in the same place would always come on.
const MOST_BROKEN_OFF: u32 = 5;

/// Decides what follows a failed step. A move ends when it has come no further for `stall_limit`, or
/// only by copies that break off again and again, so that the account's writes do not wait for ever.
pub(crate) fn after(
    facts: &MoveFacts,
    failure: Failure,
    now_ms: i64,
    stall_limit: Duration,
) -> Consequence {
    let why = match failure {
        Failure::DigestsDiffer => {
            return Consequence::Abort("source and target differ after the copy".to_owned());
        }
        Failure::Lost(why) | Failure::NearlyFull(why) => return Consequence::Abort(why),
        Failure::Refused(Order::Prepare | Order::Fence, why) => return Consequence::Abort(why),
        Failure::Refused(Order::Import | Order::Digest, why)
        | Failure::Away(why)
        | Failure::OtherIncarnation(why) => why,
    };
    if let Some(stall) = stall(facts, now_ms, stall_limit) {
        return Consequence::Abort(format!("{stall}: {why}"));
    }
    match facts.phase {
        MovePhase::Fencing | MovePhase::Verified if facts.fence.is_some() => {
            Consequence::FenceAgain(why)
        }
        _ => Consequence::Again(why),
    }
}

/// Why a move that has failed now is not tried again; none: it is.
fn stall(facts: &MoveFacts, now_ms: i64, limit: Duration) -> Option<String> {
    if facts.phase == MovePhase::Planned || age(facts, now_ms) < limit {
        return None;
    }
    let broken_off = facts.broken_off_with_this();
    if broken_off >= MOST_BROKEN_OFF {
        return Some(format!("the copy broke off {broken_off} times"));
    }
    let still = since(facts.copied_at_ms, now_ms) >= limit;
    still.then(|| format!("no progress for {} s", limit.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::super::facts::{Progress, tests::example};
    use super::*;

    const STALL: Duration = Duration::from_secs(60);

    #[test]
    fn each_phase_has_its_step() {
        let at = |phase| step(&example(phase));
        assert_eq!(at(MovePhase::Planned), Step::Admit);
        assert_eq!(at(MovePhase::Copying), Step::Prepare);
        assert!(matches!(at(MovePhase::Fencing), Step::Copy(_)));
        assert_eq!(at(MovePhase::Verified), Step::Switch);
        assert_eq!(at(MovePhase::Done), Step::Nothing);
        assert_eq!(at(MovePhase::Aborted), Step::Nothing);
        let unfenced = MoveFacts {
            fence: None,
            ..example(MovePhase::Fencing)
        };
        assert_eq!(step(&unfenced), Step::Fence);
    }

    const ORDERS: [Order; 4] = [Order::Prepare, Order::Fence, Order::Import, Order::Digest];

    fn refused(order: Order) -> Failure {
        Failure::Refused(order, "x".into())
    }

    /// The last column of the module's second table.
    #[test]
    fn every_command_refused() {
        for order in ORDERS {
            let found = match after(&example(phase_of(order)), refused(order), 2_001, STALL) {
                Consequence::Again(_) => "again",
                Consequence::FenceAgain(_) => "fence again",
                Consequence::Abort(_) => "abort",
            };
            let expected = match order {
                Order::Prepare | Order::Fence => "abort",
                Order::Import | Order::Digest => "fence again",
            };
            assert_eq!(found, expected, "{order:?}");
        }
    }

    /// Where the command is sent.
    fn phase_of(order: Order) -> MovePhase {
        match order {
            Order::Prepare => MovePhase::Copying,
            Order::Fence | Order::Import | Order::Digest => MovePhase::Fencing,
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
        let other = soon(MovePhase::Verified, Failure::OtherIncarnation("x".into()));
        assert_eq!(other, Consequence::FenceAgain("x".into()));
        let full = soon(MovePhase::Fencing, Failure::NearlyFull("x".into()));
        assert_eq!(full, Consequence::Abort("x".into()));
        let differ = soon(MovePhase::Fencing, Failure::DigestsDiffer);
        assert!(matches!(differ, Consequence::Abort(_)));
    }

    #[test]
    fn a_stalled_move_ends_but_a_planned_one_waits() {
        let late = |phase, failure| after(&example(phase), failure, 62_000, STALL);
        let away = || Failure::Away("x".into());
        let ended = late(MovePhase::Fencing, away());
        assert!(matches!(ended, Consequence::Abort(_)));
        let ended = late(MovePhase::Fencing, refused(Order::Import));
        assert!(matches!(ended, Consequence::Abort(_)));
        assert_eq!(
            late(MovePhase::Planned, away()),
            Consequence::Again("x".into())
        );
    }

    fn copying(copied_at_ms: i64, broken_off: u32) -> MoveFacts {
        let progress = Progress {
            messages: 1,
            ..Default::default()
        };
        MoveFacts {
            progress,
            copied_at_ms,
            broken_off,
            ..example(MovePhase::Fencing)
        }
    }

    #[test]
    fn a_long_copy_is_tried_again_while_it_comes_on() {
        let at = |now_ms| {
            after(
                &copying(900_000, 0),
                Failure::Away("x".into()),
                now_ms,
                STALL,
            )
        };
        assert_eq!(at(959_999), Consequence::FenceAgain("x".into()));
        let ended = "no progress for 60 s: x".to_owned();
        assert_eq!(at(960_000), Consequence::Abort(ended));
    }

    #[test]
    fn a_copy_that_always_breaks_off_ends() {
        let fifth = copying(900_000, MOST_BROKEN_OFF - 1);
        let ended = after(&fifth, Failure::Away("x".into()), 900_001, STALL);
        let why = "the copy broke off 5 times: x".to_owned();
        assert_eq!(ended, Consequence::Abort(why));
        // In a short time it may: a shard starts again.
        let soon = after(&fifth, Failure::Away("x".into()), 61_999, STALL);
        assert_eq!(soon, Consequence::FenceAgain("x".into()));
        let fourth = copying(900_000, MOST_BROKEN_OFF - 2);
        let again = after(&fourth, Failure::Away("x".into()), 900_001, STALL);
        assert_eq!(again, Consequence::FenceAgain("x".into()));
    }
}
