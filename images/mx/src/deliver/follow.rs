//! Follows the directory's word on which shards serve.

use std::time::Duration;

use kit::rpc::DirectoryClient;
use tokio::time::timeout;
use tonic::Status;
use wire::ids::{IdError, Incarnation, ShardName};
use wire::rpc::ShardWord;

use super::Courier;
use crate::spool::{Spool, Word};

/// Three heartbeats of the directory.
const SILENCE: Duration = Duration::from_secs(15);

/// Between two attempts to follow: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Why the stream ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("the directory: {0}")]
    Directory(#[from] Box<Status>),
    #[error("the stream ended")]
    Ended,
    #[error("nothing was heard for {} s", SILENCE.as_secs())]
    Silent,
}

impl From<Status> for Lost {
    fn from(status: Status) -> Self {
        Self::Directory(Box::new(status))
    }
}

/// Tells spool and courier which shards serve, for as long as it is polled.
pub(crate) async fn follow(directory: DirectoryClient, courier: Courier, spool: Spool) {
    let mut pause = PAUSES.0;
    loop {
        let lost = follow_once(&directory, &courier, &spool, &mut pause).await;
        tracing::info!(reason = %lost, "nobody tells which shards serve; asking again");
        // So that not all ask again at the same time.
        let chance = (spool.clock().chance)();
        tokio::time::sleep(pause.mul_f64(0.5 + chance)).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

async fn follow_once(
    directory: &DirectoryClient,
    courier: &Courier,
    spool: &Spool,
    pause: &mut Duration,
) -> Lost {
    let following = async {
        let mut replies = directory.follow_shards().await?;
        let mut is_first = true;
        loop {
            let reply = timeout(SILENCE, replies.message()).await;
            let reply = reply.map_err(|_| Lost::Silent)??.ok_or(Lost::Ended)?;
            for word in reply.shards {
                hear(courier, spool, word);
            }
            if std::mem::take(&mut is_first) {
                spool.probe_all();
            }
            *pause = PAUSES.0;
        }
    };
    let result: Result<std::convert::Infallible, Lost> = following.await;
    match result {
        Ok(never) => match never {},
        Err(lost) => lost,
    }
}

/// A word that cannot be read says nothing of the others.
fn hear(courier: &Courier, spool: &Spool, word: ShardWord) {
    let name: Result<ShardName, IdError> = word.shard.parse();
    let shard = match name {
        Ok(shard) => shard,
        Err(error) => {
            tracing::error!(%error, "the directory names a shard that cannot be one");
            return;
        }
    };
    let word = Word {
        incarnation: Incarnation(word.incarnation),
        serving: word.serving,
        endpoint: word.rpc_endpoint,
    };
    // A connection of the incarnation before may seem to stand, and a new one that just failed is
    // not tried again at once.
    spool.heard(&shard, word, || courier.forget(&shard));
}
