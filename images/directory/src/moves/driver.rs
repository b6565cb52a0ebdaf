//! Drives every open move for as long as this replica is elected: each takes its turns in a task of
//! its own, until it has to wait for something.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use wire::ids::AccountId;
use wire::rpc::MovePhase;

use super::look::read_move;
use super::places::{Ends, Places};
use super::roster::Roster;
use super::turn::{Mover, TurnError, Turned};
use super::{MovesConfig, World};
use crate::election::Term;
use crate::store::SharedStore;

/// Between the map's change and the look at it: many changes cost one look.
const SETTLE: Duration = Duration::from_millis(5);

/// Drives moves until it is dropped; nothing is written once the `term` is over.
pub async fn drive<W: World>(store: SharedStore, world: W, config: MovesConfig, term: Term) {
    let places = Places::new(world.limits());
    let roster = Roster::new(&config);
    let mover = Arc::new(Mover {
        store,
        world,
        config,
        term,
        places,
    });
    hold_places(&mover).await;
    let mut freed = mover.places.freed();
    let mut news = pin!(changed(&mover.world));
    let mut driver = Driver {
        mover: Arc::clone(&mover),
        roster,
        tasks: JoinSet::new(),
        accounts: HashMap::new(),
    };
    driver.list();
    loop {
        driver.begin();
        let wake = driver.roster.next_wake();
        tokio::select! {
            () = &mut news => {
                news.set(changed(&mover.world));
                driver.list();
            }
            Some(ended) = driver.tasks.join_next_with_id() => driver.ended(ended),
            // The sender is in `mover`.
            Ok(()) = freed.changed() => driver.seat(),
            () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                driver.roster.wake(Instant::now());
            }
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

/// How the turns of a move ended.
struct Ended {
    /// It entered another phase.
    came_on: bool,
    turned: Result<Turned, TurnError>,
}

/// The moves, and the tasks of those in hand.
struct Driver<W> {
    mover: Arc<Mover<W>>,
    roster: Roster,
    tasks: JoinSet<Ended>,
    accounts: HashMap<tokio::task::Id, AccountId>,
}

impl<W: World> Driver<W> {
    /// Lists what is open by now.
    fn list(&mut self) {
        let world = &self.mover.world;
        self.mover.places.limit(world.limits());
        let open: HashMap<_, _> = world.open_moves().into_iter().collect();
        for (account, phase) in &open {
            self.roster.list(*account, *phase, || {
                let (source, target) = world.ends(*account)?;
                Some(Ends { source, target })
            });
        }
        self.roster.keep(|account| open.contains_key(&account));
        self.roster.ask_leases(|shard| world.holds_lease(shard));
    }

    fn begin(&mut self) {
        while let Some(account) = self.roster.begin() {
            let turns = take_turns(Arc::clone(&self.mover), account);
            let id = self.tasks.spawn(turns).id();
            self.accounts.insert(id, account);
        }
    }

    /// Gives places to those who wait for them.
    fn seat(&mut self) {
        let places = &self.mover.places;
        let take = |account, ends: &Ends| places.take(account, ends.clone()).is_ok();
        self.roster.places_are_free(take);
    }

    fn ended(&mut self, ended: Result<(tokio::task::Id, Ended), JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(account) = self.accounts.remove(&id) else {
            return;
        };
        match ended {
            Ok((_, Ended { came_on, turned })) => {
                if came_on {
                    self.roster.came_on(account);
                }
                self.turned(account, turned);
            }
            Err(error) => {
                tracing::error!(%account, %error, "a move's task ended early; it is begun again");
                self.mover.places.leave(account);
                self.roster.backs_off(account, Instant::now());
            }
        }
    }

    fn turned(&mut self, account: AccountId, turned: Result<Turned, TurnError>) {
        let now = Instant::now();
        match turned {
            Ok(Turned::Over) => {
                self.mover.places.leave(account);
                self.roster.over(account);
            }
            Ok(Turned::Entered | Turned::Again) => self.roster.rests(account, now),
            Ok(Turned::Wait(wait)) => self.roster.rests(account, now + wait),
            Ok(Turned::Crowded(ends)) => match self.mover.places.take(account, ends.clone()) {
                // It was given back meanwhile.
                Ok(()) => self.roster.rests(account, now),
                Err(_) => self.roster.waits_for_places(account, ends),
            },
            Ok(Turned::BackOff(reason)) => {
                tracing::info!(%account, reason, "the move waits");
                self.roster.backs_off(account, now);
            }
            Err(error) => {
                tracing::warn!(%account, %error, "the move cannot be driven now");
                self.roster.backs_off(account, now);
            }
        }
    }
}

/// Takes turns until there is something to wait for.
async fn take_turns<W: World>(mover: Arc<Mover<W>>, account: AccountId) -> Ended {
    let mut came_on = false;
    loop {
        match mover.turn(account).await {
            Ok(Turned::Entered) => came_on = true,
            Ok(Turned::Again) => {}
            turned => return Ended { came_on, turned },
        }
    }
}
