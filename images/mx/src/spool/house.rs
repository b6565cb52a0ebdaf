//! What the spool does beside delivering, one thing after the other: gives back the space of what
//! was delivered, keeps the next opening short, and opens the log again after it failed.

use std::time::Duration;

use crate::spool::runner::LOOK_AGAIN;
use crate::spool::store::{NotReopened, Spool};

/// After a try to open the log again; it doubles up to [`LOOK_AGAIN`].
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Keeps house now and then, and when it is time. Never returns.
pub(super) async fn keep(spool: Spool) {
    loop {
        tokio::select! {
            () = spool.clock().sleep(LOOK_AGAIN) => {}
            () = spool.short_of_space() => {}
            () = spool.grown() => {}
            () = spool.broken() => {}
        }
        spool.look().await;
        if spool.failed() {
            heal(&spool).await;
        }
        tidy(&spool).await;
    }
}

/// See [`Spool::snapshot_if_grown`] for why the two do not run together.
async fn tidy(spool: &Spool) {
    if let Err(error) = spool.reclaim().await {
        tracing::warn!(%error, "the spool's space was not given back");
    }
    let of = spool.clone();
    let written = kit::task::blocking(move || of.snapshot_if_grown()).await;
    if let Ok(Err(error)) = written {
        tracing::warn!(%error, "the spool's snapshot was not written");
    }
}

/// Returns when the log is open again.
async fn heal(spool: &Spool) {
    let mut wait = FIRST_WAIT;
    loop {
        let of = spool.clone();
        match kit::task::blocking(move || of.reopen()).await {
            Ok(Ok(())) => return,
            Ok(Err(NotReopened::NoRoom)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the spool's log does not open again"),
            Err(error) => tracing::error!(%error, "opening the spool's log again broke"),
        }
        spool.clock().sleep(wait).await;
        wait = (wait * 2).min(LOOK_AGAIN);
    }
}
