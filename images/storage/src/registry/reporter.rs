//! Tells the directory how full the shard is and whose quota state changed: beside the lease, which
//! waits for none of it.

use std::time::Duration;

use kit::pause::{Pauses, some_of};
use kit::rpc::DirectoryClient;
use tokio::time::Instant;
use tonic::{Request, Status};
use wire::ids::AccountId;
use wire::rpc::{QuotaState, ReportRequest, ShardLoad};

use crate::shard::Shard;

/// How often a load is told that is like the last one.
pub const EVERY: Duration = Duration::from_secs(30);

/// How often is looked for what is told at once: quota states, and that the volume is nearly full.
const LOOK: Duration = Duration::from_secs(2);

/// How long one report may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two attempts that failed: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A directory whose store is slow is told so much less often than a report takes.
const SHARE: u32 = 10;

/// Quota changes told in one report.
const QUOTA_BATCH: usize = 1000;

/// Reports for as long as it is polled, first at once.
pub async fn report(
    shard: Shard,
    directory: DirectoryClient,
    every: Duration,
    load: impl Fn() -> ShardLoad,
) {
    let mut reporter = Reporter {
        shard,
        directory,
        every,
        pauses: Pauses::new(PAUSES.0, PAUSES.1),
        told: None,
        failing: false,
    };
    loop {
        let pause = reporter.report_if_due(load()).await;
        tokio::time::sleep(pause).await;
    }
}

struct Reporter {
    shard: Shard,
    directory: DirectoryClient,
    every: Duration,
    pauses: Pauses,
    told: Option<Told>,
    failing: bool,
}

/// What the directory was told last.
struct Told {
    at: Instant,
    load: ShardLoad,
}

impl Reporter {
    /// How long to wait before the next look.
    async fn report_if_due(&mut self, load: ShardLoad) -> Duration {
        let changes = self.shard.quota_changes(QUOTA_BATCH);
        let told = self.told.as_ref();
        let told = told.map(|told| (told.at.elapsed(), told.load));
        if changes.is_empty() && !is_due(told, &load, self.every) {
            return self.every.min(LOOK);
        }
        let began = Instant::now();
        match self.tell(load, &changes).await {
            Ok(()) => {
                self.went_well(&load, &changes);
                began.elapsed() * SHARE + some_of(self.every.min(LOOK))
            }
            Err(status) => {
                self.failed(&status);
                self.pauses.after_failure()
            }
        }
    }

    async fn tell(&self, load: ShardLoad, changes: &[(AccountId, bool)]) -> Result<(), Status> {
        let mut request = Request::new(ReportRequest {
            incarnation: self.shard.incarnation().0,
            load: Some(load),
            quota_changes: changes.iter().map(quota_state).collect(),
        });
        request.set_timeout(PATIENCE);
        self.directory.registry().report(request).await.map(drop)
    }

    fn went_well(&mut self, load: &ShardLoad, changes: &[(AccountId, bool)]) {
        self.shard.quota_told(changes);
        self.pauses.reset();
        self.told = Some(Told {
            at: Instant::now(),
            load: *load,
        });
        if std::mem::take(&mut self.failing) {
            tracing::info!("the directory records again how full the shard is");
        }
    }

    fn failed(&mut self, status: &Status) {
        self.shard.metrics().reports_failed.inc();
        if !std::mem::replace(&mut self.failing, true) {
            let (code, why) = (status.code(), status.message());
            tracing::warn!(
                ?code,
                why,
                "the directory does not record how full the shard is"
            );
        }
    }
}

/// `told`: how long ago a load was told, and which. Whether there is room is told at once.
fn is_due(told: Option<(Duration, ShardLoad)>, load: &ShardLoad, every: Duration) -> bool {
    let room = |load: &ShardLoad| (load.nearly_full, load.read_only);
    told.is_none_or(|(age, told)| room(&told) != room(load) || age >= every)
}

fn quota_state((account, over): &(AccountId, bool)) -> QuotaState {
    QuotaState {
        account: account.to_field(),
        over: *over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_told_now_and_then_and_a_full_volume_at_once() {
        let load = ShardLoad::default();
        let full = ShardLoad {
            nearly_full: true,
            ..load
        };
        assert!(is_due(None, &load, EVERY));
        assert!(!is_due(Some((LOOK, load)), &load, EVERY));
        assert!(is_due(Some((LOOK, load)), &full, EVERY));
        assert!(!is_due(Some((LOOK, full)), &full, EVERY));
        let stopped = ShardLoad {
            read_only: true,
            ..full
        };
        assert!(is_due(Some((LOOK, full)), &stopped, EVERY));
        assert!(is_due(Some((EVERY, load)), &load, EVERY));
    }
}
