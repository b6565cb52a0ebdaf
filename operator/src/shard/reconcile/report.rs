//! What is told of a shard.

use std::time::SystemTime;

use crds::MailboxShard;
use crds::mailbox_shard::{MailboxShardStatus, ShardState as Shown};
use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use wire::rpc::{ShardInfo, ShardState};

use super::Look;
use crate::cluster::Invalid;
use crate::cluster::reconcile::Failed;
use crate::conditions::{DRAINED, Holds, INSUFFICIENT_CAPACITY, Said, conditions, warnings};
use crate::context::Ctx;
use crate::shard::decide::{Act, Waiting, Wish, is_empty};
use crate::shard::recovering::recovering;
use crate::status::{self, Over};

/// What a look came to.
#[derive(Default)]
pub(super) struct Word {
    /// What did not work; the first is told.
    pub(super) failed: Vec<String>,
    /// Its number was used before; the next free one.
    pub(super) used: Option<u32>,
    /// When its certificate is due.
    pub(super) next_due: Option<SystemTime>,
    /// Whether its pod's template is the one that is wanted; none: there is none yet.
    pub(super) is_current: Option<bool>,
}

/// A spec that cannot be acted on.
pub(super) async fn invalid(
    ctx: &Ctx,
    object: &MailboxShard,
    invalid: &Invalid,
) -> Result<Action, Failed> {
    let before = object.status.clone().unwrap_or_default();
    let said = [Said::new(
        "Ready",
        Holds::False,
        "InvalidSpec",
        invalid.to_string(),
    )];
    let generation = object.metadata.generation;
    let written = MailboxShardStatus {
        observed_generation: generation,
        conditions: conditions(&before.conditions, &said, generation, ctx.now()),
        ..before
    };
    status::write(ctx, object, object.status.as_ref(), &written, Over::Any).await?;
    Ok(Action::await_change())
}

/// Writes the status. True: some of it waits (see [`status::write`]).
pub(super) async fn report(
    look: &Look<'_>,
    wish: Wish,
    info: Option<&ShardInfo>,
    act: Act,
    word: &Word,
) -> Result<bool, Failed> {
    let object = look.object;
    let before = object.status.clone().unwrap_or_default();
    let serving = serving(wish, info);
    let was_serving = before
        .conditions
        .iter()
        .any(|it| it.type_ == "Serving" && it.status == "True");
    let is_news = serving.holds == Holds::True && !was_serving;
    let mut said = vec![ready(&serving, act, word), serving];
    said.extend(drained(wish, act, info));
    said.extend(word.is_current.map(up_to_date));
    let generation = object.metadata.generation;
    let written = MailboxShardStatus {
        observed_generation: generation,
        conditions: conditions(&before.conditions, &said, generation, look.ctx.now()),
        ..numbers(wish, info, &before)
    };
    let written = status::write(
        look.ctx,
        object,
        object.status.as_ref(),
        &written,
        Over::Any,
    );
    let waits = written.await?;
    for (reason, note) in warnings(&before.conditions, &said) {
        look.ctx.warning(object, reason, note).await;
    }
    if is_news {
        let note = format!("{} serves", object.name_any());
        look.ctx.event(object, "ShardServing", note).await;
    }
    Ok(waits)
}

fn ready(serving: &Said, act: Act, word: &Word) -> Said {
    let not = |reason, message: String| Said::new("Ready", Holds::False, reason, message);
    if let Some(next) = word.used {
        let text = format!("metadata.name: this number was used before; write {next} or higher");
        return not("NameTaken", text);
    }
    if act == Act::Never {
        let text = "metadata.name: this shard has left for good; delete the object, and write one \
                    with a new number";
        return not("NameTaken", text.to_owned());
    }
    if let Some(failed) = word.failed.first() {
        return not("Rejected", failed.clone());
    }
    match serving.holds {
        Holds::True => Said::new("Ready", Holds::True, "Ready", ""),
        Holds::False | Holds::Unknown => not(serving.reason, serving.message.clone()),
    }
}

fn serving(wish: Wish, info: Option<&ShardInfo>) -> Said {
    let not = |reason, message: String| Said::new("Serving", Holds::False, reason, message);
    let Some(info) = info else {
        let text = "the directory has not told of it yet";
        return Said::new("Serving", Holds::Unknown, "Starting", text);
    };
    match info.state() {
        ShardState::Retired => return not("Retired", "it has left for good".to_owned()),
        ShardState::Lost => return not("Lost", "its accounts are given up".to_owned()),
        ShardState::Active
        | ShardState::Cordoned
        | ShardState::Draining
        | ShardState::Unspecified => {}
    }
    if info.read_only {
        let text = "its volume is full: mail can be read and deleted, and what arrives waits; write a \
                    larger storage.size";
        return not("VolumeFull", text.to_owned());
    }
    if info.serving {
        return Said::new("Serving", Holds::True, "Serving", "");
    }
    if wish == Wish::Stopped {
        return not(
            "Stopped",
            "mode: Stopped; mail for its accounts waits".to_owned(),
        );
    }
    if let Some(recovering) = recovering(info) {
        let left = match recovering.minutes_left {
            Some(minutes) => format!(", some {minutes} minutes left"),
            None => String::new(),
        };
        let text = format!("it rebuilds its index: {} %{left}", recovering.percent);
        return not("Recovering", text);
    }
    match info.live {
        true => not(
            "Starting",
            "it has its lease, and does not follow yet".to_owned(),
        ),
        false if info.incarnation == 0 => not("Starting", "it has not served yet".to_owned()),
        false => not(
            "NoLease",
            "it does not hold its lease: its pod is away".to_owned(),
        ),
    }
}

fn up_to_date(is_current: bool) -> Said {
    let said = |holds, reason, message| Said::new("UpToDate", holds, reason, message);
    match is_current {
        true => said(Holds::True, "Current", ""),
        false => said(
            Holds::False,
            "WaitingTurn",
            "its pod restarts when its turn comes",
        ),
    }
}

fn drained(wish: Wish, act: Act, info: Option<&ShardInfo>) -> Option<Said> {
    match wish {
        Wish::Active | Wish::Cordoned | Wish::Stopped => return None,
        Wish::Drained | Wish::Leaving => {}
    }
    let left = info.map_or(0, |info| info.accounts);
    let not = |reason, message: String| Some(Said::new(DRAINED, Holds::False, reason, message));
    match act {
        Act::Wait(Waiting::NoRoom) => not(
            INSUFFICIENT_CAPACITY,
            "what is on it has no room on other shards: add one, or larger volumes".to_owned(),
        ),
        Act::Wait(Waiting::Unreachable) => not(
            "ShardUnreachable",
            format!("{left} accounts are left, and it does not answer"),
        ),
        _ if info.is_some_and(is_empty) => Some(Said::new(
            DRAINED,
            Holds::True,
            "Empty",
            "nothing is left on it",
        )),
        _ => not("Moving", format!("{left} accounts are left")),
    }
}

fn numbers(
    wish: Wish,
    info: Option<&ShardInfo>,
    before: &MailboxShardStatus,
) -> MailboxShardStatus {
    let Some(info) = info else {
        return MailboxShardStatus {
            state: before.state.or(Some(Shown::Pending)),
            ..before.clone()
        };
    };
    let number = |number: u64| i64::try_from(number).ok();
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let used = info.volume_size.saturating_sub(info.volume_free);
    MailboxShardStatus {
        state: Some(shown(wish, info)),
        accounts: number(info.accounts),
        bytes: number(info.bytes),
        used_percent: (used * 100)
            .checked_div(info.volume_size)
            .and_then(|percent| i32::try_from(percent).ok()),
        recovering: recovering(info),
        moves_in: number(info.moves_in),
        moves_out: number(info.moves_out),
        release: text(&info.release),
        node: text(&info.node),
        volume_id: text(&info.volume_id),
        ..before.clone()
    }
}

fn shown(wish: Wish, info: &ShardInfo) -> Shown {
    match info.state() {
        ShardState::Retired => Shown::Retired,
        ShardState::Lost => Shown::Lost,
        ShardState::Draining if is_empty(info) => Shown::Empty,
        ShardState::Draining => Shown::Draining,
        ShardState::Active | ShardState::Cordoned | ShardState::Unspecified
            if wish == Wish::Stopped =>
        {
            Shown::Stopped
        }
        ShardState::Unspecified => Shown::Pending,
        ShardState::Active if info.incarnation == 0 => Shown::Pending,
        ShardState::Active => Shown::Active,
        ShardState::Cordoned => Shown::Cordoned,
    }
}

/// The Event of a change of state, if it is worth one.
pub(super) fn of_change(
    info: &ShardInfo,
    state: Option<ShardState>,
) -> Option<(&'static str, String)> {
    let name = &info.name;
    let was_leaving = info.state() == ShardState::Draining;
    match state? {
        ShardState::Cordoned => Some(("ShardCordoned", format!("{name} takes no new accounts"))),
        ShardState::Draining => Some((
            "ShardDraining",
            format!("{name} gives its {} accounts away", info.accounts),
        )),
        ShardState::Active if was_leaving => {
            Some(("DrainCancelled", format!("{name} keeps what it has")))
        }
        ShardState::Retired => Some(("ShardEmpty", format!("nothing is left on {name}"))),
        ShardState::Active | ShardState::Lost | ShardState::Unspecified => None,
    }
}
