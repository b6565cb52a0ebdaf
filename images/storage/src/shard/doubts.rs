//! Who owns what a move has fenced: asked of the directory for each reader.
//!
//! The fence is lifted, or the account given away, by the directory's word, and the watch that brings
//! it may be late: it hangs at a replica that is cut off from its store. Nobody reads what is fenced
//! before the directory has proven that it is still here; what its new shard deletes meanwhile would
//! come back.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use wire::ids::AccountId;

use super::Why;
use crate::account::access::{Assigned, NotYet};

/// Readers that wait; more are refused.
const WAITING: usize = 1000;

/// A reader's question.
#[derive(Debug)]
pub struct Doubt {
    /// The account that is fenced here.
    pub account: AccountId,
    /// Takes the directory's word, proven after the question; `None`: no such account. Dropped when
    /// no replica can say.
    pub answer: oneshot::Sender<Option<Assigned>>,
}

/// The questions, and where whoever asks the directory takes them.
pub(super) struct Doubts {
    sender: mpsc::Sender<Doubt>,
    receiver: Mutex<Option<mpsc::Receiver<Doubt>>>,
}

impl Default for Doubts {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let receiver = Mutex::new(Some(receiver));
        Self { sender, receiver }
    }
}

impl Doubts {
    /// The questions, for the first who wants them.
    pub(super) fn take(&self) -> Option<mpsc::Receiver<Doubt>> {
        self.receiver.lock().take()
    }

    /// The directory's word on an account, proven after this call.
    pub(super) async fn ask(
        &self,
        account: AccountId,
        patience: Duration,
    ) -> Result<Option<Assigned>, Why> {
        let (answer, answered) = oneshot::channel();
        let unproven = Why::NotYet(NotYet::Unproven);
        let asked = self.sender.try_send(Doubt { account, answer });
        asked.map_err(|_| unproven.clone())?;
        let answered = tokio::time::timeout(patience, answered).await;
        answered.ok().and_then(Result::ok).ok_or(unproven)
    }
}
