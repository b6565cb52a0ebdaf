//! Whose turn it is to restart when templates change.
//!
//! A changed template restarts pods, so it reaches one StatefulSet after the other. The tiers go in
//! the order of [`Tier::ALL`]: etcd, directory, shards, proxy, mx. (The directory and the proxy are
//! one StatefulSet each; of its pods, Kubernetes restarts one after the other.) What has no turn
//! keeps the template that it has; everything else about it is applied all the same.
//!
//! In a tier, the first line that fits says whose turn it is:
//!
//! | # | there is | whose turn it is |
//! |---|---|---|
//! | 1 | one that stays and is on trial: it has its template, and has not shown that it works with it | nobody's: it is waited for |
//! | 2 | outdated ones that are down, and stay or were taken down | that of the first, one that was taken down before others: so a mended spec reaches what is broken |
//! | 3 | outdated ones that stay | that of the next, if every other one that stays is up, and all has been so for 10 s |
//! | 4 | outdated ones that leave, and are down | that of the first: it could not leave |
//! | 5 | nothing of this | the next tier's |
//!
//! | what it is to be | on trial | outdated, down | outdated, not down | current, not up |
//! |---|---|---|---|---|
//! | stays: every member, replica and mx that is wanted, and a shard that is Active, Cordoned or Drained | line 1 | line 2 | line 3 | line 3 waits for it |
//! | leaves: a shard or an mx that is too many or deleted | nobody waits | line 4 | keeps its template | nobody waits |
//! | stopped: a shard whose pod serves nothing, as somebody said | nobody waits | keeps its template | keeps its template | nobody waits |
//! | ordered: a shard that was told to stop, or to go on, and has not heard it yet | – | at once | at once | – |
//! | gone: a shard that is Retired or Lost | nobody waits | keeps its template | keeps its template | nobody waits |
//!
//! - *Taken down* is a shard that has not served since it was restarted for a rollout
//!   ([`Restarted`]), whatever its template is since. While it stays or leaves, lines 2 to 4 give no
//!   other shard a turn: what the directory called down a moment ago may be up again. So never are
//!   two shards away by the operator's hand.
//! - *Recovering* is not down: it is waited for as long as its percentage comes on, whichever
//!   template it has.
//! - *Unsure* (it serves, and its pod is not ready; or it can only be read) is neither up nor down:
//!   line 3 waits for it, and takes it before those that are up.
//! - Shards wait while the directory does not tell which of them serve; etcd's members that are up
//!   wait while the directory finds its store unsound.
//! - Without a quorum etcd's members need each other to come up: line 1 keeps those that are down
//!   from nothing.
//!
//! When nothing has come on for the operator's `--progress-deadline`, the rollout is stuck
//! ([`Times`]). Nothing is decided by that but that an outdated shard whose recovery does not come on
//! counts as down: line 1 holds everything else, and a mended spec makes what is broken outdated.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::names::Tier;

mod found;
mod shard;
#[cfg(test)]
mod tests;
mod times;
pub(crate) mod words;

pub(crate) use found::{Found, Of};
pub use shard::{BadRestarted, Restarted, standing};
pub use times::{Idle, Times};

/// How long everybody has to be up before another one restarts.
pub const CALM: Duration = Duration::from_secs(10);

/// A StatefulSet that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Its tier.
    pub tier: Tier,
    /// What it is to be.
    pub part: Part,
    /// What its pods run.
    pub template: Template,
    /// How it is.
    pub standing: Standing,
    /// It has not served since it was restarted for a rollout.
    pub is_taken: bool,
}

/// What something is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It serves, and goes on.
    Stays,
    /// It gives away what it has.
    Leaves,
    /// It serves nothing, as somebody said.
    Stopped,
    /// It was told to stop, or to go on, and has not heard it yet.
    Ordered,
    /// It has left for good.
    Gone,
}

/// What pods run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// What is wanted, and they have come up with it once, or are the first there ever were.
    Current,
    /// What is wanted, and they have not come up with it yet.
    Trial,
    /// Something else.
    Outdated,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// All its pods are ready; a shard serves too.
    Up,
    /// It serves, but not as it should; or nobody tells.
    Unsure,
    /// It rebuilds what it serves from: so many percent are done.
    Recovering(u32),
    /// It serves nothing, or less than it is to.
    Down,
}

/// What is decided by.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// All that is there, in the order in which it is to have its turn within a tier.
    pub instances: &'a [Instance],
    /// The directory tells which shards serve now.
    pub directory_tells: bool,
    /// The directory finds nothing wrong with its store that a restart could make worse.
    pub store_is_sound: bool,
    /// How long nobody has gone down or come up.
    pub calm: Duration,
    /// Nothing has come on for too long.
    pub is_stuck: bool,
}

/// Whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Turns {
    /// Their templates are applied now.
    pub now: BTreeSet<String>,
    /// What the others wait for; none: there are no others, or somebody has a turn.
    pub waits: Option<Wait>,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// One that has its new template is to show that it works.
    Trial(String),
    /// One is to be up before another restarts.
    Up(String),
    /// Everybody is to be up for a while.
    Calm,
    /// The directory is to tell which shards serve.
    Directory,
    /// The directory's store is to be sound.
    Store,
}

/// Whose turn it is; the table is above.
pub fn turns(seen: &Seen<'_>) -> Turns {
    let ordered = seen.instances.iter().filter(|it| match it.part {
        Part::Ordered => it.template == Template::Outdated,
        Part::Stays | Part::Leaves | Part::Stopped | Part::Gone => false,
    });
    let mut turns = Turns {
        now: ordered.map(|it| it.name.clone()).collect(),
        waits: None,
    };
    for tier in Tier::ALL {
        match step(tier, seen) {
            Step::Done => {}
            Step::Turn(name) => {
                turns.now.insert(name);
                return turns;
            }
            Step::Wait(wait) => {
                turns.waits = Some(wait);
                return turns;
            }
        }
    }
    turns
}

/// What is done in a tier.
enum Step {
    /// It is one's turn.
    Turn(String),
    /// It is nobody's, yet.
    Wait(Wait),
    /// It is another tier's.
    Done,
}

fn step(tier: Tier, seen: &Seen<'_>) -> Step {
    let of_tier = || seen.instances.iter().filter(|it| it.tier == tier);
    let staying = || of_tier().filter(|it| it.part == Part::Stays);
    let outdated = || staying().filter(|it| it.template == Template::Outdated);
    let trial = staying().find(|it| it.template == Template::Trial);
    if tier == Tier::Storage && !seen.directory_tells {
        return match trial.or_else(|| outdated().next()) {
            Some(_) => Step::Wait(Wait::Directory),
            None => Step::Done,
        };
    }
    let all: Vec<_> = of_tier().collect();
    match (trial, broken(&all, seen.is_stuck)) {
        (Some(_), Some(broken)) if tier == Tier::Etcd && !is_quorum(staying()) => {
            return Step::Turn(broken.name.clone());
        }
        (Some(trial), _) => return Step::Wait(Wait::Trial(trial.name.clone())),
        (None, Some(broken)) => return alone(broken, &all, Instance::keeps_others_up),
        (None, None) => {}
    }
    let Some(next) = next(outdated()) else {
        return match (outdated().next(), cannot_leave(&all)) {
            (Some(recovering), _) => Step::Wait(Wait::Up(recovering.name.clone())),
            (None, Some(broken)) => alone(broken, &all, Instance::keeps_others_up),
            (None, None) => Step::Done,
        };
    };
    match alone(next, &all, Instance::is_waited_for) {
        Step::Turn(_) if tier == Tier::Etcd && !seen.store_is_sound => Step::Wait(Wait::Store),
        Step::Turn(_) if seen.calm < CALM => Step::Wait(Wait::Calm),
        step => step,
    }
}

/// Its turn, unless another one is waited for.
fn alone(one: &Instance, all: &[&Instance], is_waited_for: fn(&Instance) -> bool) -> Step {
    let mut others = all.iter().filter(|it| it.name != one.name);
    match others.find(|it| is_waited_for(it)) {
        Some(other) => Step::Wait(Wait::Up(other.name.clone())),
        None => Step::Turn(one.name.clone()),
    }
}

/// Whichever of those that are outdated and down is first: one that was taken down, else one that
/// stays.
fn broken<'a>(all: &[&'a Instance], is_stuck: bool) -> Option<&'a Instance> {
    let rank = |it: &Instance| {
        let is_down = match it.standing {
            Standing::Down => true,
            Standing::Recovering(_) => is_stuck,
            Standing::Up | Standing::Unsure => false,
        };
        let counts = match it.part {
            Part::Stays => true,
            Part::Leaves => it.is_taken,
            Part::Stopped | Part::Ordered | Part::Gone => false,
        };
        (is_down && counts && it.template == Template::Outdated).then_some(!it.is_taken)
    };
    first(all.iter().copied(), rank)
}

/// One that is to leave and cannot, since it is down.
fn cannot_leave<'a>(all: &[&'a Instance]) -> Option<&'a Instance> {
    let is_broken = |it: &&Instance| {
        let is_down = it.standing == Standing::Down;
        it.part == Part::Leaves && is_down && it.template == Template::Outdated
    };
    all.iter().copied().find(is_broken)
}

/// Whether most of them are up.
fn is_quorum<'a>(members: impl Iterator<Item = &'a Instance>) -> bool {
    let (up, away): (Vec<_>, Vec<_>) = members.partition(|it| it.standing == Standing::Up);
    up.len() > away.len()
}

/// Whoever is next of those that are not down: one that is not well before those that are. None:
/// they all recover.
fn next<'a>(outdated: impl Iterator<Item = &'a Instance>) -> Option<&'a Instance> {
    let rank = |it: &Instance| match it.standing {
        Standing::Unsure => Some(0),
        Standing::Up => Some(1),
        Standing::Down | Standing::Recovering(_) => None,
    };
    first(outdated, rank)
}

/// The first of those with the lowest rank.
fn first<'a, R: Ord>(
    instances: impl Iterator<Item = &'a Instance>,
    rank: impl Fn(&Instance) -> Option<R>,
) -> Option<&'a Instance> {
    let ranked = instances.filter_map(|it| Some((rank(it)?, it)));
    let first = ranked.min_by(|(one, _), (other, _)| one.cmp(other));
    first.map(|(_, it)| it)
}

impl Instance {
    /// Whether one that is up has to go on while this one is as it is.
    fn is_waited_for(&self) -> bool {
        let is_away = match self.part {
            Part::Stays => self.standing != Standing::Up,
            Part::Leaves | Part::Stopped | Part::Ordered | Part::Gone => false,
        };
        is_away || self.keeps_others_up()
    }

    /// Whether one that may be up has to go on.
    fn keeps_others_up(&self) -> bool {
        match self.part {
            Part::Stays | Part::Leaves => self.is_taken,
            Part::Stopped | Part::Ordered | Part::Gone => false,
        }
    }

    /// Whether the rollout is not over while this one is as it is.
    fn is_under_way(&self) -> bool {
        let is_done = match self.template {
            Template::Current => true,
            Template::Trial | Template::Outdated => false,
        };
        match self.part {
            Part::Stays => !is_done,
            Part::Leaves | Part::Stopped | Part::Ordered | Part::Gone => false,
        }
    }

    /// Whether it is up, and has been so with its template.
    fn is_settled(&self) -> bool {
        let is_on_trial = self.part == Part::Stays && self.template == Template::Trial;
        !is_on_trial && !self.is_waited_for()
    }
}
