//! Parts of the process that start and stop together.

use kit::lifecycle::Shutdown;
use tokio::task::JoinSet;

use crate::failure::Failure;

/// Tasks with a shutdown of their own.
pub(super) struct Stage {
    shutdown: Shutdown,
    tasks: JoinSet<Result<(), Failure>>,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self {
            // The whole process has no lame-duck time.
            shutdown: Shutdown::new(std::time::Duration::ZERO),
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
        self.tasks.spawn(async move {
            let ended = work.await;
            ended.map_err(|error| Failure::Refused(format!("{name}: {error}.")))
        });
    }

    /// Resolves when a part ends, which none does by itself unless it fails.
    pub(super) async fn ended(&mut self) -> Failure {
        match self.tasks.join_next().await {
            None => std::future::pending().await,
            Some(Ok(Err(failure))) => failure,
            Some(Ok(Ok(()))) => Failure::Refused("A tier ended by itself.".to_owned()),
            Some(Err(error)) => Failure::Refused(format!("A tier failed: {error}.")),
        }
    }

    /// Asks all parts to stop and waits until they have; what the first failed one said.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        self.shutdown.trigger();
        let mut outcome = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            let ended = ended
                .unwrap_or_else(|error| Err(Failure::Refused(format!("A tier failed: {error}."))));
            outcome = outcome.and(ended);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failing_part_is_named() {
        let mut stage = Stage::new();
        let shutdown = stage.shutdown();
        stage.run("calm".to_owned(), async move {
            shutdown.triggered().await;
            Ok::<_, String>(())
        });
        stage.run("shard-1".to_owned(), async { Err("the disk is gone") });
        assert_eq!(
            stage.ended().await.to_string(),
            "shard-1: the disk is gone."
        );
        assert_eq!(stage.stop().await, Ok(()));
    }
}
