//! Room on the spool's volume, and what keeps the spool from taking mail.

use std::fmt;

use parking_lot::MutexGuard;
use segments::Space;
use tokio::sync::watch;

use crate::spool::store::Spool;

/// Why the spool takes no mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// A write or sync of its log failed, and it is not open again.
    Failed,
    /// What is left on the volume is for what happens to the mail that it holds.
    Short,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "the spool takes no mail: its log failed",
            Self::Short => "the spool takes no mail: its volume is nearly full",
        })
    }
}

impl Spool {
    /// What keeps it from taking mail, and changes of that.
    pub fn trouble(&self) -> watch::Receiver<Option<Trouble>> {
        self.inner.trouble.subscribe()
    }

    /// Octets free on its volume, as last seen.
    pub fn free(&self) -> u64 {
        self.seen().free
    }

    /// Waits until its log has failed.
    pub(in crate::spool) async fn broken(&self) {
        let mut trouble = self.trouble();
        // The sender lives in `self`, so the wait cannot fail.
        let _ = trouble
            .wait_for(|trouble| *trouble == Some(Trouble::Failed))
            .await;
    }

    /// How much of the volume is free now.
    pub(in crate::spool) async fn look(&self) -> Space {
        let spool = self.clone();
        let looked = kit::task::blocking(move || spool.look_now()).await;
        looked.unwrap_or_else(|_| self.seen())
    }

    /// Likewise; blocks. What was last seen, if that cannot be seen.
    pub(super) fn look_now(&self) -> Space {
        match self.inner.disk.space() {
            Ok(space) => *self.space() = space,
            Err(error) => tracing::warn!(%error, "cannot see how full the spool's volume is"),
        }
        self.tell();
        self.seen()
    }

    /// Whether so many octets more would leave too little of the volume.
    pub(super) fn is_too_full(&self, space: Space, coming: u64) -> bool {
        space.is_below(self.inner.config.min_free_percent, coming)
    }

    /// Says what keeps it from taking mail, if that is news.
    pub(super) fn tell(&self) {
        let trouble = if self.failed() {
            Some(Trouble::Failed)
        } else {
            let short = self.is_too_full(self.seen(), 0);
            short.then_some(Trouble::Short)
        };
        let news = self.inner.trouble.send_if_modified(|told| {
            let news = *told != trouble;
            *told = trouble;
            news
        });
        match trouble {
            _ if !news => {}
            Some(trouble) => tracing::warn!("{trouble}"),
            None => tracing::info!("the spool takes mail again"),
        }
    }

    fn seen(&self) -> Space {
        *self.space()
    }

    fn space(&self) -> MutexGuard<'_, Space> {
        self.inner.space.lock()
    }
}
