//! What stands in the status of plans and progress, and what an approval comes to: pure.
//!
//! The status is all that is remembered of a plan, and it is written before anything runs by it.
//!
//! | plan in the status | the annotation names | what a round found | then |
//! |---|---|---|---|
//! | none | – | nothing to plan | progress, if something moves |
//! | none | – | a draft | it stands, under an id that never was |
//! | waits | another, or none | it holds | it stays as it is |
//! | waits | any | it holds no longer | the draft takes its place, if there is one |
//! | waits | it | it holds | it is approved |
//! | runs | it | how far it is | that |
//! | runs | it | it is over | it goes; what is left undone is told |
//! | runs | another, or none | – | it goes, likewise: it was given up |
//!
//! In the modes Auto and Disabled there is no plan, and what moves is progress.

use crds::mail_cluster::{RebalanceMode, RebalanceStatus};

use super::kept::{Draft, Plan};
use super::progress::Left;

/// What a round found, beside its word.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// What has not arrived yet, of all that runs.
    pub left: Left,
    /// How long it will take.
    pub minutes: Option<u64>,
    /// What would be done if somebody approved of it.
    pub draft: Option<Draft>,
    /// What became of the plan that stood in the status.
    pub fate: Option<(String, Fate)>,
}

/// What became of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It may be approved.
    Holds,
    /// A load has left it.
    Outdated,
    /// It runs: how many accounts were asked for, flow by flow.
    Runs(Vec<u64>),
    /// It has run: how many accounts have stayed where they were.
    Over(u64),
}

/// What became of an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approval {
    /// Nobody looked yet.
    Waits,
    /// The plan runs.
    Runs,
    /// It has run, or was given up, and left so many accounts where they are.
    Ran(u64),
    /// There is no such plan; there is this one.
    Unknown {
        /// The plan that waits; none: there is none.
        now: Option<String>,
    },
    /// In this mode there are no plans.
    Mode(RebalanceMode),
}

/// Where a plan in a status is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It waits for approval.
    Waits,
    /// It was approved and runs.
    Runs,
    /// It was approved, and is not any more.
    GivenUp,
}

/// The plan of a status, and where it is; none: there is none, or none that can be read.
pub fn standing(status: &RebalanceStatus, approve: Option<&str>) -> Option<(Plan, Stage)> {
    let plan = Plan::read(status).ok().flatten()?;
    let stage = match status.approved.as_deref() == Some(&plan.id) {
        false => Stage::Waits,
        true if approve == Some(&plan.id) => Stage::Runs,
        true => Stage::GivenUp,
    };
    Some((plan, stage))
}

/// What the status says next. `approve`: what the annotation says; `found`: the last round, none
/// before the first one and while nobody knows; `fresh`: an id that no plan ever had.
pub fn decide(
    before: &RebalanceStatus,
    mode: RebalanceMode,
    approve: Option<&str>,
    found: Option<&Found>,
    fresh: &str,
) -> RebalanceStatus {
    let Some(found) = found else {
        return before.clone();
    };
    match mode {
        RebalanceMode::DryRun => {}
        RebalanceMode::Auto | RebalanceMode::Disabled => {
            return progress(before, found.left, found);
        }
    }
    let Some((plan, stage)) = standing(before, approve) else {
        return without_plan(before, found, fresh);
    };
    let fate = found.fate.as_ref().filter(|(of, _)| *of == plan.id);
    match (stage, fate.map(|(_, fate)| fate)) {
        (Stage::GivenUp, _) => over(before, plan.parts.iter().map(|part| part.left()).sum()),
        (Stage::Runs, Some(Fate::Over(undone))) => over(before, *undone),
        (Stage::Runs, Some(Fate::Runs(asked))) => runs(before, asked, found),
        (Stage::Waits, Some(Fate::Outdated)) => without_plan(before, found, fresh),
        (Stage::Waits, Some(Fate::Holds)) if approve == Some(&plan.id) => RebalanceStatus {
            approved: Some(plan.id),
            undone: None,
            ..before.clone()
        },
        (Stage::Waits | Stage::Runs, _) => before.clone(),
    }
}

/// What became of the approval; none: there is none. `status`: as it will stand.
pub fn approval(
    status: &RebalanceStatus,
    mode: RebalanceMode,
    approve: Option<&str>,
) -> Option<Approval> {
    let approve = approve?;
    match mode {
        RebalanceMode::DryRun => {}
        RebalanceMode::Auto | RebalanceMode::Disabled => return Some(Approval::Mode(mode)),
    }
    let is_plan = status.plan.as_deref() == Some(approve);
    let was_approved = status.approved.as_deref() == Some(approve);
    Some(match (is_plan, was_approved) {
        (true, true) => Approval::Runs,
        (true, false) => Approval::Waits,
        (false, true) => Approval::Ran(status.undone.map_or(0, |undone| undone.unsigned_abs())),
        (false, false) => Approval::Unknown {
            now: status.plan.clone(),
        },
    })
}

/// The draft as a plan; without one, what moves off shards that leave.
fn without_plan(before: &RebalanceStatus, found: &Found, fresh: &str) -> RebalanceStatus {
    let last = RebalanceStatus {
        approved: before.approved.clone(),
        undone: before.undone,
        ..RebalanceStatus::default()
    };
    let Some(draft) = &found.draft else {
        let before = match before.plan {
            Some(_) => &RebalanceStatus::default(),
            None => before,
        };
        return RebalanceStatus {
            approved: last.approved,
            undone: last.undone,
            ..progress(before, found.left, found)
        };
    };
    let all = draft.flows.iter().fold(Left::default(), |all, flow| Left {
        moves: all.moves.saturating_add(flow.accounts),
        bytes: all.bytes.saturating_add(flow.bytes),
    });
    RebalanceStatus {
        plan: Some(fresh.to_owned()),
        moves: Some(number(all.moves)),
        bytes: Some(number(all.bytes)),
        spread_permille: Some(draft.spread.clone()),
        flows: draft.shown(),
        ..last
    }
}

fn runs(before: &RebalanceStatus, asked: &[u64], found: &Found) -> RebalanceStatus {
    let mut status = RebalanceStatus {
        plan: before.plan.clone(),
        approved: before.approved.clone(),
        spread_permille: before.spread_permille.clone(),
        flows: before.flows.clone(),
        ..progress(before, found.left, found)
    };
    (status.moves, status.bytes) = (before.moves, before.bytes);
    for (flow, asked) in status.flows.iter_mut().zip(asked) {
        flow.asked = Some(number(*asked).max(flow.asked.unwrap_or(0)));
    }
    status
}

fn over(before: &RebalanceStatus, undone: u64) -> RebalanceStatus {
    RebalanceStatus {
        approved: before.approved.clone(),
        undone: (undone > 0).then(|| number(undone)),
        ..RebalanceStatus::default()
    }
}

/// How far it is; nothing, when nothing is left. It is measured by the most that was ever left of it.
fn progress(before: &RebalanceStatus, left: Left, found: &Found) -> RebalanceStatus {
    if left == Left::default() {
        return RebalanceStatus::default();
    }
    let most = |before: Option<i64>, left: u64| {
        let before = before.and_then(|before| u64::try_from(before).ok());
        before.unwrap_or(0).max(left)
    };
    let all = Left {
        moves: most(before.moves, left.moves),
        bytes: most(before.bytes, left.bytes),
    };
    RebalanceStatus {
        moves: Some(number(all.moves)),
        bytes: Some(number(all.bytes)),
        moves_left: Some(number(left.moves)),
        bytes_left: Some(number(left.bytes)),
        done_percent: i32::try_from(left.done_percent(all)).ok(),
        minutes_left: found.minutes.and_then(|left| i32::try_from(left).ok()),
        ..RebalanceStatus::default()
    }
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use crds::mail_cluster::Spread;
    use plan::{Flow, Why};

    use super::*;

    fn draft() -> Draft {
        let flow = Flow {
            from: "a-0".parse().unwrap(),
            to: "a-2".parse().unwrap(),
            why: Why::Uneven,
            share: 5,
            accounts: 8,
            bytes: 800,
        };
        Draft {
            flows: vec![flow],
            spread: Spread {
                before: [-1000, 500],
                after: [-100, 50],
            },
        }
    }

    fn found(fate: Option<(&str, Fate)>) -> Found {
        Found {
            draft: Some(draft()),
            fate: fate.map(|(of, fate)| (of.to_owned(), fate)),
            ..Found::default()
        }
    }

    fn look(before: &RebalanceStatus, approve: Option<&str>, found: &Found) -> RebalanceStatus {
        decide(before, RebalanceMode::DryRun, approve, Some(found), "new")
    }

    /// A status with plan 7f3a.
    fn waits() -> RebalanceStatus {
        let found = found(None);
        decide(
            &RebalanceStatus::default(),
            RebalanceMode::DryRun,
            None,
            Some(&found),
            "7f3a",
        )
    }

    fn runs() -> RebalanceStatus {
        RebalanceStatus {
            approved: Some("7f3a".to_owned()),
            ..waits()
        }
    }

    /// Plan, approved, undone.
    fn told(status: &RebalanceStatus) -> (&str, &str, i64) {
        let text = |text: &'_ Option<String>| -> String { text.clone().unwrap_or_default() };
        let of = |text: String| match text.as_str() {
            "" => "-",
            "7f3a" => "7f3a",
            "new" => "new",
            other => panic!("{other}"),
        };
        let (plan, approved) = (of(text(&status.plan)), of(text(&status.approved)));
        (plan, approved, status.undone.unwrap_or(0))
    }

    #[test]
    fn a_draft_stands_as_a_plan() {
        let status = waits();
        assert_eq!((status.moves, status.bytes), (Some(8), Some(800)));
        assert_eq!(status.flows.len(), 1);
        assert_eq!(status.spread_permille, Some(draft().spread));
        assert_eq!((status.moves_left, status.minutes_left), (None, None));
    }

    #[test]
    fn the_table() {
        use Fate::{Holds, Outdated, Over, Runs};
        let none = RebalanceStatus::default();
        let (plan, other) = (Some("7f3a"), Some("7f3b"));
        let (holds, outdated) = (("7f3a", Holds), ("7f3a", Outdated));
        let at = |asked| ("7f3a", Runs(vec![asked]));
        for (before, approve, fate, expected) in [
            (&none, None, None, ("new", "-", 0)),
            (&none, plan, None, ("new", "-", 0)),
            (&waits(), None, Some(holds.clone()), ("7f3a", "-", 0)),
            (&waits(), other, Some(holds.clone()), ("7f3a", "-", 0)),
            (&waits(), plan, Some(holds.clone()), ("7f3a", "7f3a", 0)),
            (&waits(), None, Some(outdated.clone()), ("new", "-", 0)),
            (&waits(), plan, Some(outdated.clone()), ("new", "-", 0)),
            // What was found of another plan, or of none, says nothing of this one.
            (&waits(), plan, Some(("new", Outdated)), ("7f3a", "-", 0)),
            (&waits(), plan, Some(("new", Holds)), ("7f3a", "-", 0)),
            (&waits(), plan, None, ("7f3a", "-", 0)),
            (&runs(), plan, Some(at(3)), ("7f3a", "7f3a", 0)),
            (&runs(), plan, Some(holds), ("7f3a", "7f3a", 0)),
            (&runs(), plan, Some(outdated), ("7f3a", "7f3a", 0)),
            (&runs(), plan, Some(("7f3a", Over(0))), ("-", "7f3a", 0)),
            (&runs(), plan, Some(("7f3a", Over(2))), ("-", "7f3a", 2)),
            (&runs(), plan, None, ("7f3a", "7f3a", 0)),
            (&runs(), None, Some(at(3)), ("-", "7f3a", 8)),
            (&runs(), other, None, ("-", "7f3a", 8)),
        ] {
            let status = look(before, approve, &found(fate.clone()));
            let case = format!("{:?} {approve:?} {fate:?}", told(before));
            assert_eq!(told(&status), expected, "{case}");
            // What nobody looked at stays, and so does what was decided.
            let mode = RebalanceMode::DryRun;
            assert_eq!(decide(&status, mode, approve, None, "newer"), status);
        }
    }

    #[test]
    fn a_plan_that_has_run_does_not_run_again() {
        let ran = look(&runs(), Some("7f3a"), &found(Some(("7f3a", Fate::Over(2)))));
        let next = look(&ran, Some("7f3a"), &found(None));
        assert_eq!(told(&next), ("new", "7f3a", 2));
        let mode = RebalanceMode::DryRun;
        assert_eq!(approval(&next, mode, Some("7f3a")), Some(Approval::Ran(2)));
        let holds = found(Some(("new", Fate::Holds)));
        assert_eq!(look(&next, Some("7f3a"), &holds), next);
        assert_eq!(told(&look(&next, Some("new"), &holds)), ("new", "new", 0));
    }

    #[test]
    fn what_was_asked_for_is_never_less() {
        let at = |before: &RebalanceStatus, asked| {
            let found = found(Some(("7f3a", Fate::Runs(vec![asked]))));
            look(before, Some("7f3a"), &found)
        };
        let status = at(&at(&runs(), 5), 3);
        assert_eq!(status.flows[0].asked, Some(5));
        let given_up = look(&status, None, &found(None));
        assert_eq!(given_up.undone, Some(3));
    }

    #[test]
    fn an_approval_is_answered() {
        let dry =
            |status: &RebalanceStatus, approve| approval(status, RebalanceMode::DryRun, approve);
        let now = Some("7f3a".to_owned());
        assert_eq!(dry(&waits(), None), None);
        assert_eq!(dry(&waits(), Some("7f3a")), Some(Approval::Waits));
        assert_eq!(dry(&waits(), Some("x")), Some(Approval::Unknown { now }));
        assert_eq!(dry(&runs(), Some("7f3a")), Some(Approval::Runs));
        let none = RebalanceStatus::default();
        let nothing = Some(Approval::Unknown { now: None });
        assert_eq!(dry(&none, Some("7f3a")), nothing);
        for mode in [RebalanceMode::Auto, RebalanceMode::Disabled] {
            let answer = approval(&none, mode, Some("7f3a"));
            assert_eq!(answer, Some(Approval::Mode(mode)));
        }
    }

    #[test]
    fn progress_is_measured_by_the_most_that_was_left() {
        let left = |moves, minutes| Found {
            left: Left {
                moves,
                bytes: moves * 100,
            },
            minutes,
            ..Found::default()
        };
        let at = |before: &RebalanceStatus, found: &Found| {
            decide(before, RebalanceMode::Auto, None, Some(found), "new")
        };
        let first = at(&runs(), &left(0, None));
        assert_eq!(first, RebalanceStatus::default());
        let first = at(&first, &left(10, None));
        assert_eq!((first.moves, first.moves_left), (Some(10), Some(10)));
        assert_eq!((first.done_percent, first.minutes_left), (Some(0), None));
        let second = at(&first, &left(4, Some(2)));
        assert_eq!((second.moves, second.moves_left), (Some(10), Some(4)));
        assert_eq!((second.bytes, second.bytes_left), (Some(1000), Some(400)));
        assert_eq!(
            (second.done_percent, second.minutes_left),
            (Some(60), Some(2))
        );
        assert_eq!(at(&second, &left(0, None)), RebalanceStatus::default());
    }

    #[test]
    fn off_shards_that_leave_moves_have_their_progress_without_a_plan() {
        let found = Found {
            left: Left { moves: 3, bytes: 9 },
            ..Found::default()
        };
        let status = look(&RebalanceStatus::default(), None, &found);
        assert_eq!((status.plan, status.moves_left), (None, Some(3)));
    }
}
