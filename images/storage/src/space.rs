//! How full the volume is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wire::rpc::ShardLoad;

use crate::MIN_FREE_PERCENT;
use crate::shard::Shard;

/// The volume's size and room, as last looked. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Space {
    seen: Arc<Mutex<segments::Space>>,
}

/// Whether shards on this folder's disk take no mail: their rule, asked before the first of them
/// has told.
pub fn is_nearly_full(folder: &Path) -> std::io::Result<bool> {
    Ok(segments::Space::of(folder)?.is_below(MIN_FREE_PERCENT, 0))
}

impl Space {
    /// As it is now, so that the shard's first word is true; [`Self::watch`] reports what cannot be
    /// seen.
    pub fn now(folder: &Path) -> Self {
        let seen = segments::Space::of(folder).unwrap_or_default();
        Self {
            seen: Arc::new(Mutex::new(seen)),
        }
    }

    /// Looks at once and then every `every`, and tells the shard. Never returns.
    pub async fn watch(self, shard: Shard, folder: PathBuf, every: Duration, min_percent: u64) {
        loop {
            match segments::Space::of(&folder) {
                Ok(seen) => {
                    *self.seen.lock() = seen;
                    tell(&shard, seen.is_below(min_percent, 0));
                }
                Err(error) => tracing::warn!(%error, "cannot see how full the volume is"),
            }
            let metrics = shard.metrics();
            let totals = shard.totals();
            let set = |gauge: &prometheus_client::metrics::gauge::Gauge, value: u64| {
                gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            };
            set(&metrics.volume_free_octets, self.seen.lock().free);
            set(&metrics.accounts, totals.accounts);
            set(&metrics.octets, totals.octets);
            set(&metrics.messages, totals.messages);
            set(&metrics.sessions, shard.sessions() as u64);
            set(&metrics.lease_held, u64::from(shard.lease().is_held()));
            tokio::time::sleep(every).await;
        }
    }

    /// What the directory is told of the shard.
    pub fn load(&self, shard: &Shard) -> ShardLoad {
        let (totals, seen) = (shard.totals(), *self.seen.lock());
        ShardLoad {
            accounts: totals.accounts,
            bytes: totals.octets,
            messages: totals.messages,
            volume_size: seen.size,
            volume_free: seen.free,
            nearly_full: shard.is_nearly_full(),
            read_only: shard.is_read_only(),
        }
    }
}

fn tell(shard: &Shard, nearly_full: bool) {
    shard.set_nearly_full(nearly_full);
    // What failed is never written to again, so only a new start can go on.
    if let Some(why) = shard.only_reads()
        && !nearly_full
    {
        shard.fail(why.ending());
    }
}
