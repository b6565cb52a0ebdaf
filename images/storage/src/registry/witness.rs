//! Tells the directory which volume was opened and how far it is durable.
//!
//! Nothing is acknowledged before the first word is recorded: from then on another volume, or one
//! that has lost what was acknowledged, is refused. Later words are beside the lease, and hold
//! nothing up.

use std::time::Duration;

use kit::pause::Pauses;
use kit::rpc::DirectoryClient;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Request;
use wire::rpc::TellVolumeRequest;

use crate::shard::Shard;

/// Between two words: as often as a lease of 20 s is renewed.
const EVERY: Duration = Duration::from_secs(7);

/// Between two attempts that failed: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// How long one word may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A directory whose store is slow is told so much less often than a word takes: renewals of leases
/// wait for the same disk.
const SHARE: u32 = 10;

/// Tells for ever. `recorded` becomes true with the first word that the directory has recorded.
pub async fn tell(shard: Shard, directory: DirectoryClient, recorded: watch::Sender<bool>) {
    let (mut told, mut failing) = (None, false);
    let mut pauses = Pauses::new(PAUSES.0, PAUSES.1);
    loop {
        let began = Instant::now();
        let pause = match tell_once(&shard, &directory, &mut told).await {
            Ok(()) => {
                if std::mem::take(&mut failing) {
                    tracing::info!("the directory records the volume again");
                }
                recorded.send_replace(true);
                pauses.reset();
                EVERY.max(began.elapsed() * SHARE)
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(error, "the directory does not record the volume");
                }
                pauses.after_failure()
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn tell_once(
    shard: &Shard,
    directory: &DirectoryClient,
    told: &mut Option<wire::rpc::Volume>,
) -> Result<(), String> {
    let look = {
        let shard = shard.clone();
        move || shard.volume()
    };
    let volume = kit::task::blocking(look).await;
    let volume = volume.map_err(|error| error.to_string())?;
    let volume = volume.map_err(|error| error.to_string())?;
    if told.as_ref() == Some(&volume) {
        return Ok(());
    }
    let mut request = Request::new(TellVolumeRequest {
        incarnation: shard.incarnation().0,
        volume: Some(volume.clone()),
    });
    request.set_timeout(PATIENCE);
    let answer = directory.registry().tell_volume(request).await;
    answer.map_err(|status| status.to_string())?;
    *told = Some(volume);
    Ok(())
}
