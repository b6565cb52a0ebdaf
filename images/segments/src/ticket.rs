//! What `submit` gives back.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::error::LogError;
use crate::position::Position;

/// What the committer answers.
pub(crate) type Answer = Result<Position, LogError>;

/// Resolves when the record is durable, with its position. Dropping it takes nothing back.
#[derive(Debug)]
#[must_use = "the record is durable only when its ticket says so"]
pub struct Ticket(oneshot::Receiver<Answer>);

impl Ticket {
    pub(crate) fn new() -> (oneshot::Sender<Answer>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(receiver))
    }

    /// Waits, blocking; not for asynchronous tasks.
    pub fn wait(self) -> Result<Position, LogError> {
        self.0.blocking_recv().unwrap_or(Err(LogError::Closed))
    }
}

impl Future for Ticket {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|answer| answer.unwrap_or(Err(LogError::Closed)))
    }
}
