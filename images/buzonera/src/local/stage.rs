//! Parts of the process that start and stop together.

use std::time::Duration;

use kit::admin::Admin;
use kit::frame::{Bound, Tier, bind};
use kit::lifecycle::Shutdown;
use tokio::task::{JoinError, JoinSet};

use crate::failure::Failure;

/// Tasks with a shutdown of their own.
pub(super) struct Stage {
    shutdown: Shutdown,
    tasks: JoinSet<Result<(), Ending>>,
}

/// How a part ended that was not asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// It goes on when it is started anew; why it ended.
    Anew(String),
    /// It failed.
    Failed(Failure),
}

impl Ending {
    /// How a tier ended that sentences call `name`.
    pub(super) fn of(name: &str, error: &impl std::fmt::Display) -> Self {
        Self::Failed(Failure::Refused(said(name, error)))
    }

    /// How a shard named `name` ended.
    pub(super) fn of_shard(name: &str, error: &storage::Error) -> Self {
        match error {
            storage::Error::Ended(ending) if ending.wants_new_start() => {
                Self::Anew(said(name, error))
            }
            error if error.is_about_the_volume() => {
                let way_on = format!(
                    " Here that is `buzonera local --replace-volume {name}`, once, 20 seconds after \
                     the last start or later."
                );
                Self::Failed(Failure::Refused(said(name, error) + &way_on))
            }
            _ => Self::of(name, error),
        }
    }
}

impl From<Failure> for Ending {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

fn said(name: &str, error: &dyn std::fmt::Display) -> String {
    format!("{name}: {error}.")
}

impl Stage {
    /// A part of `whole` that has `drain` to stop in, and no longer than the whole.
    pub(super) fn of(whole: &Shutdown, drain: Duration) -> Self {
        Self {
            shutdown: whole.stage(drain),
            tasks: JoinSet::new(),
        }
    }

    /// What its parts watch.
    pub(super) fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Opens a tier and runs it; see [`Self::serve`].
    pub(super) fn start<T: Tier>(
        &mut self,
        name: &str,
        config: T::Config,
        admin: &Admin,
        ending: fn(&str, &T::Error) -> Ending,
    ) {
        let (name, admin, shutdown) = (name.to_owned(), admin.clone(), self.shutdown());
        self.run(async move {
            let ended = match bind::<T>(config, &admin, &shutdown).await {
                Ok(tier) => tier.serve().await,
                Err(error) => Err(error),
            };
            ended.map_err(|error| ending(&name, &error))
        });
    }

    /// Runs a tier that is open; `name` is what sentences call it, and `ending` says how it ended.
    pub(super) fn serve<T: Tier>(
        &mut self,
        name: &str,
        tier: Bound<T>,
        ending: fn(&str, &T::Error) -> Ending,
    ) {
        let name = name.to_owned();
        self.run(async move { tier.serve().await.map_err(|error| ending(&name, &error)) });
    }

    /// Runs a part that knows how it ended.
    pub(super) fn run(&mut self, work: impl Future<Output = Result<(), Ending>> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Resolves when a part ends, which none does by itself unless it has to.
    pub(super) async fn ended(&mut self) -> Ending {
        match self.tasks.join_next().await {
            None => std::future::pending().await,
            Some(Ok(Err(ending))) => ending,
            Some(Ok(Ok(()))) => Failure::Refused("A tier ended by itself.".to_owned()).into(),
            Some(Err(error)) => broken(&error),
        }
    }

    /// Asks all parts to stop and waits until they have; how the first ended that had to.
    pub(super) async fn stop(mut self) -> Result<(), Ending> {
        self.shutdown.trigger();
        let mut outcome = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            outcome = outcome.and(ended.unwrap_or_else(|error| Err(broken(&error))));
        }
        if let Err(cut) = self.shutdown.drained().await {
            tracing::warn!("{cut}");
        }
        outcome
    }
}

fn broken(error: &JoinError) -> Ending {
    Failure::Refused(format!("A tier failed: {error}.")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failing_part_is_named() {
        let whole = Shutdown::new(Duration::ZERO, Duration::ZERO);
        let mut stage = Stage::of(&whole, Duration::ZERO);
        let shutdown = stage.shutdown();
        stage.run(async move {
            shutdown.triggered().await;
            Ok(())
        });
        stage.run(async { Err(Ending::of("shard-1", &"the disk is gone")) });
        let said = Failure::Refused("shard-1: the disk is gone.".to_owned());
        assert_eq!(stage.ended().await, Ending::Failed(said));
        assert_eq!(stage.stop().await, Ok(()));
    }

    #[test]
    fn a_shard_with_room_again_is_started_anew_and_no_other() {
        let of = |error: storage::Error| Ending::of_shard("shard-1", &error);
        for ending in [
            storage::shard::Ending::RoomAgain,
            storage::shard::Ending::IndexAgain,
        ] {
            let again = of(ending.into());
            assert!(matches!(again, Ending::Anew(_)), "{again:?}");
        }
        let failed = of(storage::shard::Ending::Panicked.into());
        assert!(matches!(failed, Ending::Failed(_)), "{failed:?}");
    }
}
