//! Drives every open move, each in a task of its own, for as long as this replica is elected.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use wire::ids::AccountId;

use super::turn::{Mover, Turned};
use super::{MovesConfig, World};
use crate::store::{Revision, SharedStore};

/// Most moves driven at once; the others wait, Planned.
const MOST_TASKS: usize = 256;

/// Drives moves until it is dropped. `term` is the revision of the election's key that this replica
/// has won: nothing is written once another has won.
pub async fn drive<W: World>(store: SharedStore, world: W, config: MovesConfig, term: Revision) {
    let mover = Arc::new(Mover {
        store,
        world,
        config,
        term,
    });
    let mut tasks = Tasks::default();
    tasks.begin(&mover);
    loop {
        // A move that ends changes the map, so a place that got free is filled then.
        tokio::select! {
            () = mover.world.changed() => tasks.begin(&mover),
            Some(ended) = tasks.set.join_next_with_id() => tasks.ended(ended),
        }
    }
}

/// The moves that have a task.
#[derive(Default)]
struct Tasks {
    set: JoinSet<AccountId>,
    ids: HashMap<AccountId, tokio::task::Id>,
}

impl Tasks {
    fn begin<W: World>(&mut self, mover: &Arc<Mover<W>>) {
        for account in mover.world.open_moves() {
            if self.ids.len() >= MOST_TASKS {
                return;
            }
            if !self.ids.contains_key(&account) {
                let handle = self.set.spawn(drive_one(Arc::clone(mover), account));
                self.ids.insert(account, handle.id());
            }
        }
    }

    fn ended(&mut self, ended: Result<(tokio::task::Id, AccountId), JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => {
                tracing::error!(%error, "the task of a move ended early; it is begun again");
                error.id()
            }
        };
        self.ids.retain(|_, running| *running != id);
    }
}

/// Takes turns until the move is over.
async fn drive_one<W: World>(mover: Arc<Mover<W>>, account: AccountId) -> AccountId {
    let mut pause = mover.config.first_pause;
    loop {
        let wait = match mover.turn(account).await {
            Ok(Turned::Over) => return account,
            Ok(Turned::Again) => {
                pause = mover.config.first_pause;
                continue;
            }
            Ok(Turned::Wait(wait)) => wait,
            Ok(Turned::BackOff(reason)) => {
                tracing::info!(%account, reason, "the move waits");
                next_pause(&mut pause, mover.config.longest_pause)
            }
            Err(error) => {
                tracing::warn!(%account, %error, "the move cannot be driven now");
                next_pause(&mut pause, mover.config.longest_pause)
            }
        };
        tokio::time::sleep(wait).await;
    }
}

fn next_pause(pause: &mut Duration, longest: Duration) -> Duration {
    let now = *pause;
    *pause = (now * 2).min(longest);
    now
}
