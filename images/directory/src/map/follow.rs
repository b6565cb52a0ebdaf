//! Keeps the shared map at the store's heels: load, watch, and load again when the watch is lost.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use wire::ids::ClusterId;

use crate::store::{Error, Revision, SharedStore};

use super::{ApplyError, Map, Shared};

/// First wait after a failure: etcd elects a new leader within a second or two.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// Longest wait after failures.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Why following stopped for a while.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Store(#[from] Error),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("the store does not hold this cluster any more")]
    Lost,
}

/// Follows the store for as long as it is polled. `is_ours` is asked of each load whether the cluster
/// that it holds is the right one: a store that lost everything is not taken for one without users.
pub async fn follow(
    store: SharedStore,
    shared: Arc<Shared>,
    is_ours: impl Fn(Option<ClusterId>) -> bool,
) {
    let mut retry = RETRY_MIN;
    loop {
        let before = shared.revision();
        let stopped = load_and_watch(&store, &shared, &is_ours).await;
        if shared.revision() > before {
            retry = RETRY_MIN;
        }
        tracing::warn!(%stopped, "following the store stopped; the map is loaded again");
        tokio::time::sleep(retry).await;
        retry = (retry * 2).min(RETRY_MAX);
    }
}

async fn load_and_watch(
    store: &SharedStore,
    shared: &Shared,
    is_ours: &impl Fn(Option<ClusterId>) -> bool,
) -> Stopped {
    let (map, revision) = match load(store).await {
        Ok(loaded) => loaded,
        Err(stopped) => return stopped,
    };
    if !is_ours(map.cluster()) {
        return Stopped::Lost;
    }
    tracing::info!(
        revision = revision.0,
        accounts = map.account_count(),
        bytes = map.bytes(),
        "the map is loaded"
    );
    shared.swap(map, revision);
    watch(store, shared).await
}

/// Loads everything at one revision into a map of its own.
async fn load(store: &SharedStore) -> Result<(Map, Revision), Stopped> {
    let mut load = store.load().await?;
    let mut map = Map::default();
    while let Some(page) = load.pages.next().await {
        for entry in page? {
            map.apply(&entry.key, Some(&entry.value))?;
        }
    }
    Ok((map, load.revision))
}

/// Applies changes until what is missing can only be loaded.
async fn watch(store: &SharedStore, shared: &Shared) -> Stopped {
    let mut retry = RETRY_MIN;
    loop {
        let mut changes = store.watch(shared.revision());
        while let Some(next) = changes.next().await {
            match next {
                Ok(transaction) => {
                    retry = RETRY_MIN;
                    if let Err(error) = shared.apply(&transaction) {
                        return error.into();
                    }
                }
                Err(error @ (Error::Compacted(_) | Error::Failed(_))) => return error.into(),
                Err(error) => {
                    tracing::info!(%error, "the store's watch broke; it is taken up again");
                    break;
                }
            }
        }
        tokio::time::sleep(retry).await;
        retry = (retry * 2).min(RETRY_MAX);
    }
}
