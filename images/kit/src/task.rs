//! Work that blocks, off the runtime's threads.

use std::any::Any;

use tokio::task::JoinError;
use tonic::Status;

/// Why a task gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It panicked: a fault of ours, logged as an error.
    #[error("a thread of this process panicked")]
    Panicked,
    /// It was called off: the process is stopping, or whoever spawned it did so.
    #[error("the process is stopping")]
    Stopped,
}

/// Runs `work` on a thread that may wait for a disk.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NoAnswer> {
    Ok(tokio::task::spawn_blocking(work).await?)
}

impl From<JoinError> for NoAnswer {
    fn from(error: JoinError) -> Self {
        match error.try_into_panic() {
            Ok(panic) => {
                tracing::error!(panic = said(&*panic), "a task panicked");
                Self::Panicked
            }
            Err(_) => Self::Stopped,
        }
    }
}

impl From<NoAnswer> for Status {
    fn from(no_answer: NoAnswer) -> Self {
        match no_answer {
            NoAnswer::Panicked => Self::internal(no_answer.to_string()),
            NoAnswer::Stopped => Self::unavailable(no_answer.to_string()),
        }
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a word")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_no_stop() {
        assert_eq!(blocking(|| 7).await, Ok(7));
        let panicked: Result<(), _> = blocking(|| panic!("this is the test's")).await;
        assert_eq!(panicked, Err(NoAnswer::Panicked));
        let task = tokio::spawn(std::future::pending::<()>());
        task.abort();
        let stopped = task.await.map_err(NoAnswer::from);
        assert_eq!(stopped, Err(NoAnswer::Stopped));
        assert_eq!(said(&format!("{}", 1)), "1");
    }
}
