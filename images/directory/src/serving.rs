//! Which shards serve, for whoever brings them mail: the word on each, then every change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use kit::lifecycle::Shutdown;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use wire::answer::NotMe;
use wire::rpc::{FollowShardsReply, ShardWord};

use crate::contact::refused;
use crate::map::Shared;
use crate::store::Freshness;

/// Between two proofs that this replica is not behind; the reply after one is the heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long a proof may take.
const PROOF: Duration = Duration::from_secs(2);

/// What a follower gets.
pub(crate) type Replies = BoxStream<'static, Result<FollowShardsReply, Status>>;

/// All words, then changes, until the replica stops or cannot prove any more that it is current.
/// A replica that cannot prove it at the start refuses, so that the caller asks another one.
pub(crate) async fn follow_shards(
    shared: Arc<Shared>,
    freshness: Arc<Freshness>,
    shutdown: Shutdown,
) -> Result<Replies, Status> {
    let mut follower = Follower {
        changed: shared.words(),
        shared,
        freshness,
        told: HashMap::new(),
        proof_due: Instant::now(),
        has_begun: false,
        ended: false,
    };
    follower.prove().await?;
    let closing = async move { shutdown.closing().await };
    let replies = stream::unfold(follower, Follower::next).take_until(closing);
    Ok(replies.boxed())
}

struct Follower {
    shared: Arc<Shared>,
    freshness: Arc<Freshness>,
    changed: watch::Receiver<u64>,
    /// The words as the other side knows them.
    told: HashMap<String, ShardWord>,
    proof_due: Instant,
    /// Whether anything is told yet.
    has_begun: bool,
    ended: bool,
}

impl Follower {
    async fn next(mut self) -> Option<(Result<FollowShardsReply, Status>, Self)> {
        if self.ended {
            return None;
        }
        let reply = self.reply().await;
        self.ended = reply.is_err();
        Some((reply, self))
    }

    /// All words at first, then the next change; a proof when none comes for too long.
    async fn reply(&mut self) -> Result<FollowShardsReply, Status> {
        while self.has_begun {
            match timeout_at(self.proof_due, self.changed.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Status::unavailable("the directory stops")),
                Err(_) => {
                    self.prove().await?;
                    break;
                }
            }
            // What changed may have changed back.
            let shards = self.news();
            if !shards.is_empty() {
                return Ok(FollowShardsReply { shards });
            }
        }
        self.has_begun = true;
        self.changed.mark_unchanged();
        let shards = self.news();
        Ok(FollowShardsReply { shards })
    }

    async fn prove(&mut self) -> Result<(), Status> {
        let current = self.freshness.prove_current(Instant::now() + PROOF).await;
        current.map_err(|_| refused(NotMe::OutOfTouch))?;
        self.proof_due = Instant::now() + HEARTBEAT;
        Ok(())
    }

    /// The words that are others than those told before; from now on they are told.
    fn news(&mut self) -> Vec<ShardWord> {
        let map = self.shared.read();
        let words = map.shards().filter_map(|shard| shard.word());
        let news = words.filter(|word| self.told.get(&word.shard) != Some(word));
        let news: Vec<_> = news.collect();
        drop(map);
        let told = news.iter().map(|word| (word.shard.clone(), word.clone()));
        self.told.extend(told);
        news
    }
}
