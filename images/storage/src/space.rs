//! How full the volume is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wire::rpc::ShardLoad;

use crate::shard::Shard;

/// Why a shard ends that was full and has room again.
pub(crate) const ROOM_AGAIN: &str = "the volume was full and has room again: start anew";

/// The volume's size and room, as last looked. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Space {
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    size: AtomicU64,
    free: AtomicU64,
}

impl Space {
    /// Looks at once and then every `every`, and tells the shard. Never returns.
    pub async fn watch(self, shard: Shard, folder: PathBuf, every: Duration, min_percent: u64) {
        loop {
            match self.look(&folder) {
                Ok(()) => self.tell(&shard, min_percent),
                Err(error) => tracing::warn!(%error, "cannot see how full the volume is"),
            }
            let metrics = shard.metrics();
            let totals = shard.totals();
            let set = |gauge: &prometheus_client::metrics::gauge::Gauge, value: u64| {
                gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            };
            set(&metrics.volume_free, self.seen.free.load(Ordering::Relaxed));
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
        let totals = shard.totals();
        ShardLoad {
            accounts: totals.accounts,
            bytes: totals.octets,
            messages: totals.messages,
            volume_size: self.seen.size.load(Ordering::Relaxed),
            volume_free: self.seen.free.load(Ordering::Relaxed),
            nearly_full: shard.inner().is_nearly_full(),
        }
    }

    fn tell(&self, shard: &Shard, min_percent: u64) {
        let nearly_full = self.is_below(min_percent);
        shard.set_nearly_full(nearly_full);
        // A log that failed is never written to again, so only a new start can go on.
        if shard.is_read_only() && !nearly_full {
            shard.fail(ROOM_AGAIN.to_owned());
        }
    }

    fn look(&self, folder: &Path) -> std::io::Result<()> {
        let stat = rustix::fs::statvfs(folder)?;
        let octets = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        self.seen
            .size
            .store(octets(stat.f_blocks), Ordering::Relaxed);
        self.seen
            .free
            .store(octets(stat.f_bavail), Ordering::Relaxed);
        Ok(())
    }

    fn is_below(&self, min_percent: u64) -> bool {
        let size = u128::from(self.seen.size.load(Ordering::Relaxed));
        let free = u128::from(self.seen.free.load(Ordering::Relaxed));
        free * 100 < size * u128::from(min_percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_has_a_size() {
        let space = Space::default();
        space.look(Path::new("/")).unwrap();
        assert!(space.seen.size.load(Ordering::Relaxed) > 0);
        assert!(space.is_below(101));
        assert!(!space.is_below(0));
    }
}
