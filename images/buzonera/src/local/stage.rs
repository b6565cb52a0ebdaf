//! Parts of the process that start and stop together.

use std::time::Duration;

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
    /// How a shard named `name` ended.
    pub(super) fn of_shard(name: &str, error: &storage::Error) -> Self {
        let mut said = said(name, error);
        if error.is_about_the_volume() {
            said += &format!(
                " Here that is `buzonera local --replace-volume {name}`, once, 20 seconds after the \
                 last start or later."
            );
        }
        match error {
            storage::Error::Ended(ending) if ending.wants_new_start() => Self::Anew(said),
            _ => Self::Failed(Failure::Refused(said)),
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

    /// Runs a part; `name` is what sentences call it.
    pub(super) fn run<E: std::fmt::Display>(
        &mut self,
        name: String,
        work: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.run_to_its_end(async move {
            let ended = work.await;
            ended.map_err(|error| Failure::Refused(said(&name, &error)).into())
        });
    }

    /// Runs a part that knows how it ended.
    pub(super) fn run_to_its_end(
        &mut self,
        work: impl Future<Output = Result<(), Ending>> + Send + 'static,
    ) {
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
        stage.run("calm".to_owned(), async move {
            shutdown.triggered().await;
            Ok::<_, String>(())
        });
        stage.run("shard-1".to_owned(), async { Err("the disk is gone") });
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
