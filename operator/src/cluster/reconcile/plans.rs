//! What is told of plans: what stands in the status, and two conditions.

use crds::MailboxShard;
use crds::mail_cluster::{RebalanceMode, RebalanceStatus};
use kube::ResourceExt;
use wire::ids::RequestId;

use super::Look;
use crate::conditions::{DRAINED, Holds, INSUFFICIENT_CAPACITY, REBALANCING, Said};
use crate::names::annotations;
use crate::rebalance::{self, Approval, Left, Plan, Stage, Told, Word};

mod words;

/// What became of an approval.
const APPROVED: &str = "Approved";

/// Characters of what somebody wrote that are said again.
const QUOTED: usize = 32;

/// The plan that stands in the status as it was written last, in a mode that has plans.
pub(super) fn standing(look: &Look<'_>) -> Option<(Plan, Stage)> {
    match look.cluster.rebalance.mode {
        RebalanceMode::DryRun => rebalance::standing(&before(look), approve(look)),
        RebalanceMode::Auto | RebalanceMode::Disabled => None,
    }
}

/// Since when accounts move, as the status says: milliseconds since 1970.
pub(super) fn since_ms(look: &Look<'_>) -> Option<i64> {
    let since = before(look).started_at?;
    Some(since.0.as_millisecond())
}

/// What the status says next.
pub(super) fn decided(look: &Look<'_>, told: Option<&Told>) -> RebalanceStatus {
    let before = before(look);
    let decided = rebalance::decide(
        &before,
        look.cluster.rebalance.mode,
        approve(look),
        told.and_then(|told| told.found.as_ref()),
        &fresh(),
    );
    let (word, moved) = (
        told.map(|told| &told.word),
        told.and_then(|told| told.moved),
    );
    let since = before.started_at.as_ref();
    RebalanceStatus {
        started_at: rebalance::since(since, word, moved, look.ctx.now()),
        ..decided
    }
}

/// The conditions; of moves nothing before the first round.
pub(super) fn said(
    look: &Look<'_>,
    told: Option<&Told>,
    status: &RebalanceStatus,
) -> impl Iterator<Item = Said> + use<> {
    let name = look.cluster.name.as_str();
    let stuck = stuck(&look.seen.shards);
    let rebalancing = told.map(|told| rebalancing(name, &told.word, &stuck, status));
    let mode = look.cluster.rebalance.mode;
    let approve = approve(look);
    let approval = rebalance::approval(status, mode, approve);
    let approved = approve.zip(approval);
    let approved = approved.map(|(plan, approval)| approved_said(name, plan, &approval));
    rebalancing.into_iter().chain(approved)
}

/// What people are told of how it goes on: the reason of the Event, and its text. `said`: the
/// condition as it is now.
pub(super) fn news(
    before: &RebalanceStatus,
    now: &RebalanceStatus,
    said: Option<&Said>,
    moved: Option<Left>,
) -> Option<(&'static str, String)> {
    match (&before.started_at, &now.started_at) {
        (None, Some(_)) => Some(("RebalanceStarted", words::began(now, said))),
        (Some(since), None) => {
            let moved = moved.unwrap_or_default();
            Some(("RebalanceDone", words::ended(since, moved, now, said)))
        }
        (None, None) | (Some(_), Some(_)) => None,
    }
}

fn before(look: &Look<'_>) -> RebalanceStatus {
    let status = look.object.status.as_ref();
    let rebalance = status.and_then(|status| status.rebalance.clone());
    rebalance.unwrap_or_default()
}

fn approve<'a>(look: &Look<'a>) -> Option<&'a str> {
    let annotations = look.object.annotations();
    annotations.get(annotations::APPROVE).map(String::as_str)
}

/// An id that no plan has had: what has run must not be approved again by what was written for it.
fn fresh() -> String {
    let id = RequestId::random();
    let first = id.as_bytes().iter().take(4);
    first.map(|byte| format!("{byte:02x}")).collect()
}

/// Shards that are to be emptied, and for whose accounts the others have no room: they say so.
fn stuck(shards: &[MailboxShard]) -> Vec<String> {
    let is_stuck = |shard: &&MailboxShard| {
        let conditions = shard.status.iter().flat_map(|status| &status.conditions);
        let mut drained = conditions.filter(|it| it.type_ == DRAINED);
        drained.any(|it| it.reason == INSUFFICIENT_CAPACITY)
    };
    let stuck = shards.iter().filter(is_stuck);
    let mut names: Vec<_> = stuck.map(ResourceExt::name_any).collect();
    names.sort();
    names
}

/// Never a reason to be Reconciling: whoever waits for a release would wait for every move.
fn rebalancing(name: &str, word: &Word, stuck: &[String], status: &RebalanceStatus) -> Said {
    let (holds, reason, message) = words::of(word);
    let is_still = holds == Holds::False && *word != Word::Paused;
    let plan = status.plan.as_ref();
    let waiting = plan.filter(|plan| status.approved.as_ref() != Some(plan));
    let (reason, message) = match waiting {
        Some(plan) if is_still => ("DryRun", waits(name, plan, status)),
        None if is_still && !stuck.is_empty() => {
            (INSUFFICIENT_CAPACITY, words::cannot_be_emptied(stuck))
        }
        Some(_) | None => (reason, message),
    };
    Said::new(REBALANCING, holds, reason, message)
}

fn waits(name: &str, plan: &str, status: &RebalanceStatus) -> String {
    let accounts = status.moves.unwrap_or(0);
    format!(
        "plan {plan} would move {accounts} accounts, as status.rebalance says; to run it once: {}",
        command(name, plan)
    )
}

fn approved_said(name: &str, plan: &str, approval: &Approval) -> Said {
    let plan: String = plan.chars().take(QUOTED).collect();
    let (holds, reason, message) = match approval {
        Approval::Waits => (
            Holds::Unknown,
            "Waiting",
            "shards are looked at first".to_owned(),
        ),
        Approval::Runs => (
            Holds::True,
            "Running",
            format!("plan {plan} runs; without this annotation the rest of it is given up"),
        ),
        Approval::Ran(0) => (Holds::True, "Done", format!("plan {plan} has run")),
        Approval::Ran(undone) => (
            Holds::True,
            "PartlyDone",
            format!(
                "plan {plan} has run, and {undone} accounts have stayed where they were: there was \
                 no room for them, they had moved within the hour, or shards were even without them"
            ),
        ),
        Approval::Unknown { now: Some(now) } => (
            Holds::False,
            "UnknownPlan",
            format!(
                "{}: there is no plan {plan:?}, or not any more; what would move now is plan {now}: {}",
                annotations::APPROVE,
                command(name, now)
            ),
        ),
        Approval::Unknown { now: None } => (
            Holds::False,
            "UnknownPlan",
            format!(
                "{}: there is no plan {plan:?}, or not any more, and nothing to move now; {}",
                annotations::APPROVE,
                without(name)
            ),
        ),
        Approval::Mode(mode) => (
            Holds::False,
            "NoPlans",
            format!(
                "{}: rebalance.mode is {mode:?}; write DryRun to see and approve plans, or {}",
                annotations::APPROVE,
                without(name)
            ),
        ),
    };
    Said::new(APPROVED, holds, reason, message)
}

fn command(name: &str, plan: &str) -> String {
    let approve = annotations::APPROVE;
    format!("kubectl annotate --overwrite mailcluster {name} {approve}={plan}")
}

fn without(name: &str) -> String {
    let approve = annotations::APPROVE;
    format!("take it away: kubectl annotate mailcluster {name} {approve}-")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn status(plan: Option<&str>, approved: Option<&str>) -> RebalanceStatus {
        RebalanceStatus {
            plan: plan.map(str::to_owned),
            approved: approved.map(str::to_owned),
            moves: Some(8),
            ..RebalanceStatus::default()
        }
    }

    #[test]
    fn whoever_may_approve_is_told_how() {
        let text =
            |word, status: &RebalanceStatus| rebalancing("example", &word, &[], status).message;
        let command = "kubectl annotate --overwrite mailcluster example buzonera.dev/approve=7f3a";
        let waits = text(Word::DryRun, &status(Some("7f3a"), None));
        assert!(waits.ends_with(command), "{waits}");
        assert!(waits.starts_with("plan 7f3a would move 8 accounts"));
        // Within the tolerance again, and not yet given up.
        assert_eq!(text(Word::Balanced, &status(Some("7f3a"), None)), waits);
        assert_eq!(text(Word::Balanced, &status(None, Some("7f3a"))), "");
        let said = approved_said(
            "example",
            "7f3b",
            &Approval::Unknown {
                now: Some("7f3a".to_owned()),
            },
        );
        assert_eq!((said.holds, said.reason), (Holds::False, "UnknownPlan"));
        assert!(said.message.ends_with(command), "{}", said.message);
    }

    #[test]
    fn what_somebody_wrote_is_not_said_again_whole() {
        let long = "x".repeat(5000);
        let unknown = Approval::Unknown { now: None };
        let said = approved_said("example", &long, &unknown);
        assert!(said.message.len() < 300, "{}", said.message);
    }

    #[test]
    fn a_shard_that_cannot_be_emptied_is_named_wherever_nothing_moves() {
        let stuck = ["example-2".to_owned()];
        let reason = |word, status| rebalancing("example", &word, &stuck, &status).reason;
        let none = || status(None, None);
        for word in [Word::Balanced, Word::Disabled, Word::Uneven] {
            assert_eq!(reason(word, none()), "InsufficientCapacity");
        }
        assert_eq!(reason(Word::Moving, none()), "MovingAccounts");
        assert_eq!(reason(Word::Paused, none()), "Paused");
        assert_eq!(reason(Word::Unknown, none()), "DirectoryUnreachable");
        assert_eq!(reason(Word::DryRun, status(Some("7f3a"), None)), "DryRun");
    }

    #[test]
    fn a_beginning_and_an_end_are_told_once() {
        let at = |since: Option<i64>| RebalanceStatus {
            started_at: since.map(|since| Time(Timestamp::from_second(since).unwrap())),
            ..status(None, None)
        };
        let moved = Some(Left { moves: 5, bytes: 0 });
        let told = |before, now| news(&at(before), &at(now), None, moved);
        assert_eq!(told(None, None), None);
        assert_eq!(told(Some(60), Some(60)), None);
        let (reason, note) = told(None, Some(60)).unwrap();
        assert_eq!(reason, "RebalanceStarted");
        assert!(note.starts_with("8 accounts with "), "{note}");
        let (reason, note) = told(Some(60), None).unwrap();
        assert_eq!(reason, "RebalanceDone");
        assert!(
            note.starts_with("5 accounts with 0 have moved since 00:01"),
            "{note}"
        );
    }

    #[test]
    fn no_two_plans_have_the_same_id() {
        let ids: std::collections::BTreeSet<_> = (0..100).map(|_| fresh()).collect();
        assert_eq!(ids.len(), 100);
        assert!(ids.iter().all(|id| id.len() == 8));
    }
}
