//! Tells the directory which volume was opened and how far it is durable.
//!
//! Nothing is acknowledged before the first word is recorded: from then on another volume, or one
//! that has lost what was acknowledged, is refused. Later words are beside the lease, and hold
//! nothing up.

use std::time::Duration;

use kit::rpc::DirectoryClient;
use tokio::sync::watch;
use tonic::Request;
use wire::rpc::TellVolumeRequest;

use crate::shard::Shard;

/// Between two words: as often as a lease of 20 s is renewed.
const EVERY: Duration = Duration::from_secs(7);

/// Between two attempts that failed.
const PAUSE: Duration = Duration::from_millis(500);

/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(3);

/// Tells for ever. `recorded` becomes true with the first word that the directory has recorded.
pub async fn tell(shard: Shard, directory: DirectoryClient, recorded: watch::Sender<bool>) {
    let mut told = None;
    loop {
        let pause = match tell_once(&shard, &directory, &mut told).await {
            Ok(()) => {
                recorded.send_replace(true);
                EVERY
            }
            Err(error) => {
                tracing::warn!(
                    error,
                    "the directory does not record the volume; telling again"
                );
                PAUSE
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
    request.set_timeout(QUESTION);
    let answer = directory.registry().tell_volume(request).await;
    answer.map_err(|status| status.to_string())?;
    *told = Some(volume);
    Ok(())
}
