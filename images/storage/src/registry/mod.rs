//! Follows the directory: what this shard is to have, and makes it so.

use std::convert::Infallible;
use std::time::Duration;

use kit::lifecycle::Shutdown;
use kit::pause::Pauses;
use kit::rpc::DirectoryClient;
use kit::rpc::directory::WATCH_BEAT;
use tokio::sync::watch;
use tonic::{Status, Streaming};
use wire::rpc::{WatchReply, WatchRequest};

use crate::shard::Shard;

pub mod debts;
pub mod doubts;
pub mod keeper;
mod news;
pub mod obey;
mod orders;
pub mod reconcile;
pub mod reporter;
pub mod witness;

use self::news::News;
use self::orders::Orders;

/// Between two attempts to follow the directory: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// A watch that is silent for longer is lost: a beat, its proof, and one more for the way.
pub const SILENCE: Duration = Duration::from_secs(3 * WATCH_BEAT.as_secs());

/// Why the watch ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("the directory: {0}")]
    Directory(#[from] Box<Status>),
    #[error("the stream ended")]
    Ended,
    #[error("the stream was silent for {} s", .0.as_secs())]
    Silent(Duration),
}

impl From<Status> for Lost {
    fn from(status: Status) -> Self {
        Self::Directory(Box::new(status))
    }
}

/// Follows the directory until `shutdown` closes. `followed` becomes true with the first complete
/// word on all accounts; a watch that is silent for longer than `silence` is lost.
pub async fn follow(
    shard: Shard,
    directory: DirectoryClient,
    followed: watch::Sender<bool>,
    silence: Duration,
    shutdown: Shutdown,
) {
    let mut follower = Follower {
        orders: Orders::new(shard.clone(), directory.clone()),
        shard,
        directory,
        silence,
        heeded: 0,
    };
    let mut pauses = Pauses::new(PAUSES.0, PAUSES.1);
    loop {
        let lost = tokio::select! {
            lost = follower.follow(&followed, &mut pauses) => lost,
            () = shutdown.closing() => return,
        };
        tracing::warn!(reason = %lost, "the directory's watch is lost; trying again");
        tokio::select! {
            () = tokio::time::sleep(pauses.after_failure()) => {}
            () = shutdown.closing() => return,
        }
    }
}

struct Follower {
    shard: Shard,
    directory: DirectoryClient,
    orders: Orders,
    silence: Duration,
    /// Everything up to this revision was heeded: the next watch goes on from here.
    heeded: u64,
}

impl Follower {
    async fn follow(&mut self, followed: &watch::Sender<bool>, pauses: &mut Pauses) -> Lost {
        match self.try_follow(followed, pauses).await {
            Ok(never) => match never {},
            Err(lost) => lost,
        }
    }

    async fn try_follow(
        &mut self,
        followed: &watch::Sender<bool>,
        pauses: &mut Pauses,
    ) -> Result<Infallible, Lost> {
        let request = WatchRequest {
            incarnation: self.shard.incarnation().0,
            after: self.heeded,
        };
        let watch = self.directory.registry().watch(request).await;
        let mut stream = watch?.into_inner();
        let first = next(&mut stream, self.silence).await?;
        match first.resumed {
            true => self.heed(first).await,
            false => self.heed_all(first, &mut stream).await?,
        }
        followed.send_replace(true);
        pauses.reset();
        loop {
            tokio::select! {
                reply = next(&mut stream, self.silence) => self.heed(reply?).await,
                () = self.orders.due() => self.orders.try_again().await,
            }
        }
    }

    /// Everything up to `snapshot_complete`; what is not in it is not this shard's.
    async fn heed_all(
        &mut self,
        first: WatchReply,
        stream: &mut Streaming<WatchReply>,
    ) -> Result<(), Lost> {
        let mut reply = first;
        let mut news = News::default();
        loop {
            news.read(&self.shard, &reply);
            if reply.snapshot_complete {
                break;
            }
            reply = next(stream, self.silence).await?;
        }
        self.shard.assign_all(news.assigned().collect());
        self.orders.replace(news).await;
        self.heeded = reply.revision;
        Ok(())
    }

    async fn heed(&mut self, reply: WatchReply) {
        let mut news = News::default();
        news.read(&self.shard, &reply);
        for (account, assigned) in news.assigned() {
            self.shard.assign(account, assigned);
        }
        self.orders.carry_out(news).await;
        // A page of what was missed tells none: only the last one is a place to go on from.
        self.heeded = self.heeded.max(reply.revision);
    }
}

async fn next(stream: &mut Streaming<WatchReply>, silence: Duration) -> Result<WatchReply, Lost> {
    match tokio::time::timeout(silence, stream.message()).await {
        Ok(reply) => reply?.ok_or(Lost::Ended),
        Err(_) => Err(Lost::Silent(silence)),
    }
}
