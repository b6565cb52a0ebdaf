//! Follows the directory: what this shard is to have, and makes it so.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt as _;
use kit::lifecycle::Shutdown;
use kit::rpc::DirectoryClient;
use tokio::sync::watch;
use tonic::{Status, Streaming};
use wire::ids::AccountId;
use wire::rpc::confirmation::What;
use wire::rpc::{AccountEntry, ConfirmRequest, Confirmation, WatchReply, WatchRequest};

use crate::shard::{Shard, Unready};

pub mod keeper;
pub mod reconcile;
pub mod reporter;
pub mod witness;

use self::reconcile::{Order, Word};

/// Orders carried out at a time: they share the heap's syncs.
const AT_ONCE: usize = 256;

/// Confirmations in one call.
const CONFIRM_BATCH: usize = 1000;

/// Between two attempts to follow the directory: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Why the watch ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("the directory: {0}")]
    Directory(#[from] Box<Status>),
    #[error("the stream ended")]
    Ended,
    #[error("an order could not be carried out: {0}")]
    Order(#[from] Unready),
}

impl From<Status> for Lost {
    fn from(status: Status) -> Self {
        Self::Directory(Box::new(status))
    }
}

/// Follows the directory until `shutdown` closes. `followed` becomes true with the first complete
/// word on all accounts.
pub async fn follow(
    shard: Shard,
    directory: DirectoryClient,
    followed: watch::Sender<bool>,
    shutdown: Shutdown,
) {
    let mut pause = PAUSES.0;
    loop {
        let lost = tokio::select! {
            lost = follow_once(&shard, &directory, &followed, &mut pause) => lost,
            () = shutdown.closing() => return,
        };
        tracing::warn!(reason = %lost, "the directory's watch is lost; trying again");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.closing() => return,
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

async fn follow_once(
    shard: &Shard,
    directory: &DirectoryClient,
    followed: &watch::Sender<bool>,
    pause: &mut Duration,
) -> Lost {
    let follower = Follower { shard, directory };
    let followed_from = async {
        let incarnation = shard.incarnation().0;
        let mut registry = directory.registry();
        let watch = registry.watch(WatchRequest { incarnation });
        let mut stream = watch.await?.into_inner();
        let words = snapshot(shard, &mut stream).await?;
        let assigned = words.iter().map(|(id, word)| (*id, word.assigned()));
        shard.assign_all(assigned.collect());
        follower.carry_out(words.into_values().collect()).await?;
        followed.send_replace(true);
        *pause = PAUSES.0;
        loop {
            let reply = next(&mut stream).await?;
            let words = read(shard, &reply.entries);
            for word in words.values() {
                shard.assign(word.account, word.assigned());
            }
            follower.carry_out(words.into_values().collect()).await?;
        }
    };
    let result: Result<std::convert::Infallible, Lost> = followed_from.await;
    match result {
        Ok(never) => match never {},
        Err(lost) => lost,
    }
}

/// Everything up to `snapshot_complete`.
async fn snapshot(
    shard: &Shard,
    stream: &mut Streaming<WatchReply>,
) -> Result<HashMap<AccountId, Word>, Lost> {
    let mut words = HashMap::new();
    loop {
        let reply = next(stream).await?;
        words.extend(read(shard, &reply.entries));
        if reply.snapshot_complete {
            return Ok(words);
        }
    }
}

async fn next(stream: &mut Streaming<WatchReply>) -> Result<WatchReply, Lost> {
    stream.message().await?.ok_or(Lost::Ended)
}

/// The last word on each account. One that cannot be read is a fault of its own.
fn read(shard: &Shard, entries: &[AccountEntry]) -> HashMap<AccountId, Word> {
    let mut words = HashMap::with_capacity(entries.len());
    for entry in entries {
        match Word::read(entry, shard.name()) {
            Ok(word) => {
                words.insert(word.account, word);
            }
            Err(error) => {
                shard.metrics().faults.inc();
                tracing::error!(%error, "an entry of the directory cannot be read");
            }
        }
    }
    words
}

struct Follower<'a> {
    shard: &'a Shard,
    directory: &'a DirectoryClient,
}

impl Follower<'_> {
    /// Makes everything so, and confirms it.
    async fn carry_out(&self, words: Vec<Word>) -> Result<(), Lost> {
        let words = self.only_to_do(words).await?;
        let done: Vec<Result<Option<Confirmation>, Unready>> =
            futures::stream::iter(words.into_iter().map(|word| self.carry_out_one(word)))
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
        let mut confirmations = Vec::new();
        let mut failed = None;
        for result in done {
            match result {
                Ok(confirmation) => confirmations.extend(confirmation),
                Err(unready) => failed = Some(unready),
            }
        }
        for batch in confirmations.chunks(CONFIRM_BATCH) {
            let request = ConfirmRequest {
                incarnation: self.shard.incarnation().0,
                confirmations: batch.to_vec(),
            };
            self.directory.registry().confirm(request).await?;
        }
        match failed {
            Some(unready) => Err(unready.into()),
            None => Ok(()),
        }
    }

    /// Those that ask for something, by a look at the index off the runtime's threads.
    async fn only_to_do(&self, words: Vec<Word>) -> Result<Vec<Word>, Lost> {
        let index = self.shard.index().clone();
        let look = move || {
            words
                .into_iter()
                .filter_map(|word| match index.account(word.account) {
                    Ok(held) if word.order(held.as_ref()) == Order::Nothing => None,
                    Ok(_) => Some(Ok(word)),
                    Err(error) => Some(Err(error)),
                })
                .collect::<Result<Vec<Word>, _>>()
        };
        let looked = kit::task::blocking(look).await.map_err(Unready::from)?;
        Ok(looked.map_err(Unready::from)?)
    }

    async fn carry_out_one(&self, word: Word) -> Result<Option<Confirmation>, Unready> {
        let mut confirm: Option<What> = None;
        let mut fault = None;
        let decided = self
            .shard
            .change(word.account, |held| match word.order(held) {
                Order::Nothing => Ok(None),
                Order::Write(change, what) => {
                    confirm = what;
                    Ok(Some(change))
                }
                Order::Confirm(what) => {
                    confirm = Some(what);
                    Ok(None)
                }
                Order::Fault(text, what) => {
                    fault = Some(text);
                    confirm = what;
                    Ok(None)
                }
            });
        let decided: Result<(), Unready> = decided.await;
        decided?;
        if let Some(fault) = fault {
            self.shard.metrics().faults.inc();
            tracing::error!(account = %word.account, fault, "directory and shard disagree");
        }
        Ok(confirm.map(|what| Confirmation {
            account: word.account.to_field(),
            epoch: word.epoch.0,
            what: what.into(),
        }))
    }
}
