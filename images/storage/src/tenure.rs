//! A shard's time under one lease: it gets it, keeps it, and follows the directory under it.

use std::time::Duration;

use kit::lifecycle::Shutdown;
use kit::rpc::DirectoryClient;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use wire::ids::{ClusterId, Incarnation};

use crate::registry::keeper::{self, Claim, NoLease};
use crate::registry::{self, doubts, reporter, witness};
use crate::shard::Shard;
use crate::space::Space;
use crate::tier::Error;
use crate::volume::VolumeLock;

/// What it takes.
pub(crate) struct Tenure {
    pub(crate) shard: Shard,
    pub(crate) directory: DirectoryClient,
    pub(crate) claim: Claim,
    pub(crate) cluster: ClusterId,
    pub(crate) lock: VolumeLock,
    pub(crate) told: Told,
    pub(crate) shutdown: Shutdown,
}

/// What the directory is told, how often, and how long it may be silent.
pub(crate) struct Told {
    pub(crate) space: Space,
    pub(crate) report_every: Duration,
    pub(crate) watch_silence: Duration,
}

impl Tenure {
    /// Gets the lease, and follows the directory under it until the shutdown closes and the answers
    /// under way are given. To be asked to stop before the lease was granted is no failure.
    pub(crate) async fn hold(self) -> Result<(), Error> {
        match self.begin().await {
            Err(Error::Lease(NoLease::Stopped)) => return Ok(()),
            begun => begun?,
        }
        let (shard, directory) = (&self.shard, &self.directory);
        let (followed, mut is_followed) = watch::channel(false);
        let (recorded, mut is_recorded) = watch::channel(false);
        let load = {
            let (space, shard) = (self.told.space, shard.clone());
            move || space.load(&shard)
        };
        let every = self.told.report_every;
        let keep = keeper::keep(shard.clone(), directory.clone(), is_followed.clone());
        let _keep = AbortOnDropHandle::new(tokio::spawn(keep));
        let report = reporter::report(shard.clone(), directory.clone(), every, load);
        let _report = AbortOnDropHandle::new(tokio::spawn(report));
        let doubts = doubts::answer(shard.clone(), directory.clone());
        let _doubts = AbortOnDropHandle::new(tokio::spawn(doubts));
        let tell = witness::tell(shard.clone(), directory.clone(), recorded);
        let _tell = AbortOnDropHandle::new(tokio::spawn(tell));
        // Nothing is acknowledged before it is known outside which volume that is on.
        tokio::select! {
            _ = is_recorded.wait_for(|recorded| *recorded) => {}
            () = self.shutdown.closing() => return Ok(()),
        }
        let (silence, shutdown) = (self.told.watch_silence, self.shutdown.clone());
        let follow = registry::follow(self.shard, self.directory, followed, silence, shutdown);
        let ready = async {
            if is_followed.wait_for(|followed| *followed).await.is_ok() {
                tracing::info!("the shard serves what the directory assigns to it");
            }
        };
        tokio::join!(follow, ready);
        // Answers under way still need the lease.
        let _ = self.shutdown.drained().await;
        Ok(())
    }

    /// Gets the lease, and writes its incarnation down.
    async fn begin(&self) -> Result<(), Error> {
        let (shard, claim, cluster) = (&self.shard, &self.claim, self.cluster);
        let (lease, directory) = (shard.lease(), &self.directory);
        let granted = keeper::acquire(lease, directory, claim, &self.shutdown).await?;
        if granted.cluster != cluster || granted.incarnation.0 <= claim.volume.opened {
            let text = format!(
                "the directory of cluster {} granted incarnation {}, and this volume of cluster \
                 {cluster} has seen {}",
                granted.cluster, granted.incarnation, claim.volume.opened
            );
            return Err(NoLease::Refused(text).into());
        }
        shard
            .open_incarnation(granted.cluster.to_field(), granted.incarnation)
            .await?;
        self.name_holder(granted.incarnation);
        tracing::info!(incarnation = %granted.incarnation, "the lease is granted");
        Ok(())
    }

    /// The name is for people; the lock holds without it.
    fn name_holder(&self, incarnation: Incarnation) {
        if let Err(error) = self.lock.name_holder(incarnation) {
            tracing::warn!(%error, "the lock file does not name its holder");
        }
    }
}
