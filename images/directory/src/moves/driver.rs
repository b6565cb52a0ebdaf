//! Drives every open move, each in a task of its own, for as long as this replica is elected.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use wire::ids::AccountId;
use wire::rpc::MovePhase;

use super::look::read_move;
use super::places::Places;
use super::turn::{Mover, Turned};
use super::{MovesConfig, World};
use crate::election::Term;
use crate::store::SharedStore;

/// Most moves driven at once; the others wait. What has begun comes before what is planned.
const MOST_TASKS: usize = 1024;

/// Between the map's change and the look at it: many changes cost one look.
const SETTLE: Duration = Duration::from_millis(5);

/// Drives moves until it is dropped; nothing is written once the `term` is over.
pub async fn drive<W: World>(store: SharedStore, world: W, config: MovesConfig, term: Term) {
    let places = Places::new(config.per_shard);
    let mover = Arc::new(Mover {
        store,
        world,
        config,
        term,
        places,
    });
    hold_places(&mover).await;
    let mut tasks = Tasks::default();
    tasks.begin(&mover);
    let mut news = pin!(changed(&mover.world));
    loop {
        // A task that ends changes the map, so what waits for it is begun then.
        tokio::select! {
            () = &mut news => {
                news.set(changed(&mover.world));
                tasks.begin(&mover);
            }
            Some(ended) = tasks.set.join_next_with_id() => tasks.ended(&mover.places, ended),
        }
    }
}

async fn changed<W: World>(world: &W) {
    world.changed().await;
    tokio::time::sleep(SETTLE).await;
}

/// What an earlier driver has begun goes on, and counts before anything new begins.
async fn hold_places<W: World>(mover: &Mover<W>) {
    for (account, phase) in mover.world.open_moves() {
        if phase == MovePhase::Planned {
            continue;
        }
        match read_move(mover.store.as_ref(), account).await {
            Ok(Some(found)) => mover.place(&found.facts),
            Ok(None) => {}
            Err(error) => tracing::warn!(%account, %error, "the move cannot be read now"),
        }
    }
}

/// The moves that have a task.
#[derive(Default)]
struct Tasks {
    set: JoinSet<()>,
    running: HashMap<AccountId, Running>,
}

struct Running {
    id: tokio::task::Id,
    /// Ends a pause: the record has become another.
    poke: Arc<Notify>,
    aborted: bool,
}

impl Tasks {
    fn begin<W: World>(&mut self, mover: &Arc<Mover<W>>) {
        let mut open = mover.world.open_moves();
        open.sort_by_key(|(account, phase)| (*phase == MovePhase::Planned, *account));
        for (account, phase) in open {
            let aborted = phase == MovePhase::Aborted;
            if let Some(running) = self.running.get_mut(&account) {
                if aborted && !running.aborted {
                    running.aborted = true;
                    running.poke.notify_one();
                }
            } else if self.running.len() < MOST_TASKS {
                let poke = Arc::new(Notify::new());
                let one = drive_one(Arc::clone(mover), account, Arc::clone(&poke));
                let id = self.set.spawn(one).id();
                let running = Running { id, poke, aborted };
                self.running.insert(account, running);
            }
        }
    }

    fn ended(&mut self, places: &Places, ended: Result<(tokio::task::Id, ()), JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => {
                tracing::error!(%error, "the task of a move ended early; it is begun again");
                error.id()
            }
        };
        let is_ended = |_: &AccountId, running: &mut Running| running.id == id;
        for (account, _) in self.running.extract_if(is_ended) {
            places.leave(account);
        }
    }
}

/// Takes turns until the move is over.
async fn drive_one<W: World>(mover: Arc<Mover<W>>, account: AccountId, poke: Arc<Notify>) {
    let mut pauses = Pauses::new(&mover.config);
    let mut reported = false;
    loop {
        let wait = match mover.turn(account).await {
            Ok(Turned::Over) => return,
            Ok(Turned::Again) => continue,
            Ok(Turned::Entered) => {
                pauses = Pauses::new(&mover.config);
                continue;
            }
            Ok(Turned::Crowded(ends)) => {
                tokio::select! {
                    () = mover.places.wait(account, &ends) => {}
                    () = poke.notified() => {}
                }
                continue;
            }
            Ok(Turned::Wait(wait)) => wait,
            Ok(Turned::BackOff { reason, stuck }) => {
                match stuck && !reported {
                    true => tracing::error!(%account, reason, "the move cannot end"),
                    false => tracing::info!(%account, reason, "the move waits"),
                }
                reported |= stuck;
                pauses.next()
            }
            Err(error) => {
                tracing::warn!(%account, %error, "the move cannot be driven now");
                pauses.next()
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = poke.notified() => {}
        }
    }
}

/// Pauses after failed steps, each twice the one before.
struct Pauses {
    next: Duration,
    longest: Duration,
}

impl Pauses {
    fn new(config: &MovesConfig) -> Self {
        Self {
            next: config.first_pause,
            longest: config.longest_pause,
        }
    }

    fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause
    }
}
