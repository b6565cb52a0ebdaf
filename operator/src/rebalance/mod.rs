//! Accounts are moved until shards are as even as is wanted, and off shards that leave.
//!
//! One task a cluster. Each round looks at what the directory tells, plans anew, and asks for moves
//! as long as not too many are open; the directory drives them, within the limits that it was told.
//! It keeps with each move what it was asked for ([`Tag`]), so that moves whose reason is gone can be
//! given up. Nothing is remembered between rounds but since when there has been something to do, and
//! at what pace; a plan that waits for approval, or runs, stands in the MailCluster's status
//! ([`decide`]). So a restart costs nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::mail_cluster::RebalanceMode;
use kit::rpc::Channel;
use parking_lot::Mutex;
use plan::{Balance, Flow, Limits, OpenMove, Why};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tonic::Status;
use wire::ids::IdError;
use wire::rpc::ShardState;

use crate::cluster::shape::Rebalance;
use crate::directory::{Directories, Of, View, shards_now};

mod ask;
mod carry;
mod decide;
mod kept;
mod period;
mod progress;
mod round;
mod running;
mod seen;
mod sizes;
mod stop;
mod untold;
mod word;

pub use decide::{Approval, Fate, Found, Stage, approval, decide, standing};
pub use kept::{Draft, MOST_FLOWS, Part, Plan, beyond_leaving};
pub(crate) use period::since;
pub use progress::{Left, Pace};
pub use round::{flows, most_open};
pub use running::{Memory as Remembered, Run};
pub use stop::{Tag, is_open, stale};
pub use word::{Held, Lately, Round, Short, Word};

use seen::Seen;

/// Between two rounds.
const EVERY: Duration = Duration::from_secs(10);

/// Until the directory was looked at.
const LOOKING: Duration = Duration::from_secs(1);

/// Likewise, while a shard leaves or a plan runs.
const BUSY: Duration = Duration::from_secs(2);

/// By then every shard has told its load anew: they do so every 30 s.
const UNTOLD: Duration = Duration::from_secs(120);

/// What is wanted of a cluster's accounts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wish {
    pub(crate) rebalance: Rebalance,
    pub(crate) is_paused: bool,
    /// The plan that stands in the status, in a mode that has plans.
    pub(crate) plan: Option<(Plan, Stage)>,
    /// Since when accounts move, as the status says: milliseconds since 1970.
    pub(crate) since_ms: Option<i64>,
}

/// What a round came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) word: Word,
    /// None: nobody knows, or the cluster is paused.
    pub(crate) found: Option<Found>,
    /// How many accounts have moved since the status says that they do, once none does.
    pub(crate) moved: Option<Left>,
}

/// What is remembered between rounds.
#[derive(Default)]
struct Memory {
    /// Since when shards have been uneven.
    uneven_since: Option<Instant>,
    /// When a move was open last; none: this has just begun, and they are not known.
    moved_at: Option<Instant>,
    pace: Pace,
    running: Remembered,
}

/// The tasks of all clusters. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Rebalancers {
    directories: Directories,
    /// How long shards have to be uneven before anything moves.
    patience: Duration,
    tasks: Arc<Mutex<HashMap<Of, Task>>>,
}

struct Task {
    wish: watch::Sender<Wish>,
    /// None: there was no round yet.
    word: watch::Receiver<Option<Arc<Told>>>,
    running: JoinHandle<()>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// Why a round came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("the directory: {}", .0.message())]
    Call(#[from] Status),
    #[error("the directory tells of a shard, but {0}")]
    Name(#[from] IdError),
}

impl Rebalancers {
    pub(crate) fn new(directories: Directories, patience: Duration) -> Self {
        Self {
            directories,
            patience,
            tasks: Arc::default(),
        }
    }

    /// Says what is wanted; the first word begins a task. What it is about is the answer.
    pub(crate) fn wish(&self, of: &Of, wish: Wish) -> Option<Arc<Told>> {
        let mut tasks = self.tasks.lock();
        let task = tasks.entry(of.clone()).or_insert_with(|| {
            let (say, wishes) = watch::channel(wish.clone());
            let (told, word) = watch::channel(None);
            let rounds = rounds(
                self.directories.clone(),
                of.clone(),
                self.patience,
                wishes,
                told,
            );
            Task {
                wish: say,
                word,
                running: tokio::spawn(rounds),
            }
        });
        task.wish.send_if_modified(|last| {
            let is_new = *last != wish;
            *last = wish;
            is_new
        });
        task.word.borrow().clone()
    }

    /// Ends a cluster's task.
    pub(crate) fn forget(&self, of: &Of) {
        self.tasks.lock().remove(of);
    }
}

async fn rounds(
    directories: Directories,
    of: Of,
    patience: Duration,
    mut wishes: watch::Receiver<Wish>,
    told: watch::Sender<Option<Arc<Told>>>,
) {
    let mut memory = Memory::default();
    loop {
        let wish = wishes.borrow_and_update().clone();
        let Some(view) = directories.seen(&of) else {
            sleep(LOOKING).await;
            continue;
        };
        let now = round(&view, &wish, patience, &mut memory).await;
        let now = now.unwrap_or_else(|error| {
            tracing::warn!(cluster = %of.1, %error, "no round of moves; trying again");
            Told::only(Word::Unknown)
        });
        let is_news = told.send_if_modified(|last| {
            let is_news = last.as_deref() != Some(&now);
            if is_news {
                *last = Some(Arc::new(now));
            }
            is_news
        });
        if is_news {
            directories.tell(&of);
        }
        let mut shards = view.shards.iter().flatten();
        let leaves = shards.any(|shard| shard.state() == ShardState::Draining);
        let is_busy = leaves || wish.running().is_some();
        tokio::select! {
            () = sleep(if is_busy { BUSY } else { EVERY }) => {}
            // Whoever approves, or gives up, need not wait.
            changed = wishes.changed() => if changed.is_err() { return },
        }
    }
}

/// One look, and what it asks for.
async fn round(
    view: &View,
    wish: &Wish,
    patience: Duration,
    memory: &mut Memory,
) -> Result<Told, Failed> {
    if wish.is_paused {
        return Ok(Told::only(Word::Paused));
    }
    let Some(channel) = &view.channel else {
        return Ok(Told::only(Word::Unknown));
    };
    // Another operator may have asked for moves since the last look, and some may be done.
    let Some((shards, false)) = shards_now(channel).await else {
        return Ok(Told::only(Word::Unknown));
    };
    let shards = shards.as_slice();
    let mut seen = Seen::of(shards, channel, wish).await?;
    let open = seen.told()?;
    if memory.has_moved_lately(&open) {
        seen.add_untold(channel, shards).await?;
    }
    act(channel, wish, patience, memory, (seen, open)).await
}

/// Asks for what is to move, and says what came of it.
async fn act(
    channel: &Channel,
    wish: &Wish,
    patience: Duration,
    memory: &mut Memory,
    (mut seen, open): (Seen, Vec<OpenMove>),
) -> Result<Told, Failed> {
    let mut balance = Balance::of(&seen.loads, &open);
    let all = balance.plan(&wish.limits());
    let is_due = memory.is_due(&all, patience) || !open.is_empty();
    let run = wish.running().map(|plan| {
        let moves = seen.all.as_deref().unwrap_or_default();
        Run::of(plan, moves, &seen.loads, &memory.running)
    });
    let mut wanted = carry::wanted(flows(&all, wish.rebalance.mode, is_due));
    let without_plan = seen.left(&wanted);
    wanted.extend(run.iter().flat_map(|run| run.wanted(&balance, &seen.loads)));
    let left = seen.left(&wanted);
    let draft = wish.draft(&seen, &open, is_due);
    let free = most_open(wish.rebalance.moves, seen.loads.len()).saturating_sub(open.len());
    let asked = carry::out(channel, &mut balance, &wanted, &mut seen, free).await?;
    let sum: usize = asked.moves.iter().sum();
    let word = Word::of(&Round {
        mode: wish.rebalance.mode,
        limits: wish.limits(),
        loads: &seen.loads,
        open: &open,
        flows: &all,
        is_due,
        moving: seen.of_ours() + sum,
        held: asked.held,
        plan: run.as_ref().map(Run::away),
    });
    let now = Instant::now();
    let fate = match run {
        Some(run) => {
            let could = sum < free;
            Some(run.fate(&asked.moves, could, &mut memory.running, (now, patience)))
        }
        None => wish.judged(&seen, &open),
    };
    let left = match fate.as_ref().map(|(_, fate)| fate) {
        // What it leaves undone is not left to be done.
        Some(Fate::Over(_)) => without_plan,
        Some(Fate::Runs(_)) => left,
        None | Some(Fate::Holds | Fate::Outdated) if word.moves() => left,
        // What does not move has no progress.
        None | Some(Fate::Holds | Fate::Outdated) => Left::default(),
    };
    let found = Found {
        left,
        minutes: memory.pace.minutes(left, now),
        draft,
        fate,
    };
    Ok(Told {
        moved: match wish.since_ms {
            Some(since_ms) if !word.moves() => Some(seen.moved(channel, since_ms).await?),
            Some(_) | None => None,
        },
        word,
        found: Some(found),
    })
}

impl Wish {
    fn limits(&self) -> Limits {
        Limits {
            tolerance_percent: self.rebalance.tolerance_percent,
        }
    }

    /// The plan that was approved.
    fn running(&self) -> Option<&Plan> {
        match &self.plan {
            Some((plan, Stage::Runs)) => Some(plan),
            Some((_, Stage::Waits | Stage::GivenUp)) | None => None,
        }
    }

    /// What would be done beyond emptying shards that leave, in a mode that says so.
    fn draft(&self, seen: &Seen, open: &[OpenMove], is_due: bool) -> Option<Draft> {
        let shows = match self.rebalance.mode {
            RebalanceMode::DryRun => is_due && self.running().is_none(),
            RebalanceMode::Auto | RebalanceMode::Disabled => false,
        };
        let balance = || Balance::of(&seen.calm(), open);
        shows.then(|| Draft::of(&balance(), &self.limits()))?
    }

    /// What is to be said of the plan that waits.
    fn judged(&self, seen: &Seen, open: &[OpenMove]) -> Option<(String, Fate)> {
        let (plan, stage) = self.plan.as_ref()?;
        match stage {
            Stage::Waits => {}
            Stage::Runs | Stage::GivenUp => return None,
        }
        let balance = Balance::of(&seen.calm(), open);
        let fate = match plan.holds(&balance, &self.limits()) {
            true => Fate::Holds,
            false => Fate::Outdated,
        };
        Some((plan.id.clone(), fate))
    }
}

impl Memory {
    /// Whether moves may have ended of which shards have not told yet.
    fn has_moved_lately(&mut self, open: &[OpenMove]) -> bool {
        let moved_at = self.moved_at.get_or_insert_with(Instant::now);
        if !open.is_empty() {
            *moved_at = Instant::now();
        }
        moved_at.elapsed() < UNTOLD
    }

    /// Whether shards have been uneven for long enough, by what is to be done about it.
    fn is_due(&mut self, flows: &[Flow], patience: Duration) -> bool {
        if flows.iter().all(|flow| flow.why == Why::Leaving) {
            self.uneven_since = None;
        }
        let since = *self.uneven_since.get_or_insert_with(Instant::now);
        since.elapsed() >= patience
    }
}

impl Told {
    fn only(word: Word) -> Self {
        Self {
            word,
            found: None,
            moved: None,
        }
    }
}
