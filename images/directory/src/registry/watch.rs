//! A shard follows its accounts: all of them, then every change.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tonic::Status;
use wire::answer::NotMe;
use wire::ids::{AccountId, Incarnation, ShardName};
use wire::rpc::{AccountEntry, Route, WatchReply, WatchRequest};

use super::Registry;
use crate::contact::refused;
use crate::map::{Account, AccountChange, Map, News, Shared};
use crate::store::Revision;

/// Accounts in one reply.
const PAGE: usize = 1000;

/// What a watch streams.
pub(super) type Replies = BoxStream<'static, Result<WatchReply, Status>>;

impl Registry {
    pub(super) async fn follow(
        &self,
        shard: ShardName,
        request: &WatchRequest,
    ) -> Result<Replies, Status> {
        let incarnation = Incarnation(request.incarnation);
        self.newest(&shard, incarnation).await?;
        let current = self
            .freshness
            .prove_current(Instant::now() + self.config.proof)
            .await;
        current.map_err(|_| refused(NotMe::OutOfTouch))?;
        let all = |map: &Map| {
            map.accounts_of(&shard)
                .map(|account| account.id())
                .collect()
        };
        let (accounts, revision, news) = self.shared.follow(all);
        let watch = Watch {
            shared: Arc::clone(&self.shared),
            shard,
            incarnation,
            revision,
            accounts,
            complete: false,
            news,
            ended: false,
        };
        let shutdown = self.shutdown.clone();
        let closing = async move { shutdown.closing().await };
        let replies = stream::unfold(watch, Watch::next).take_until(closing);
        Ok(replies.boxed())
    }
}

/// One shard's watch.
struct Watch {
    shared: Arc<Shared>,
    shard: ShardName,
    incarnation: Incarnation,
    revision: Revision,
    /// Of the snapshot, those that are still to be told. Their state is read when they are: one that
    /// changed since is told as it is then, and again as a change.
    accounts: VecDeque<AccountId>,
    complete: bool,
    news: Receiver<News>,
    ended: bool,
}

impl Watch {
    async fn next(mut self) -> Option<(Result<WatchReply, Status>, Self)> {
        if self.ended {
            return None;
        }
        let reply = match self.complete {
            false => Ok(self.page()),
            true => self.change().await,
        };
        self.ended = reply.is_err();
        Some((reply, self))
    }

    /// The next page of the snapshot; the last one says so.
    fn page(&mut self) -> WatchReply {
        let count = self.accounts.len().min(PAGE);
        let page: Vec<_> = self.accounts.drain(..count).collect();
        self.complete = self.accounts.is_empty();
        let map = self.shared.read();
        WatchReply {
            entries: entries(&map, page),
            snapshot_complete: self.complete,
            revision: self.revision.0,
        }
    }

    /// The next transaction that concerns this shard.
    async fn change(&mut self) -> Result<WatchReply, Status> {
        loop {
            let (revision, accounts) = match self.news.recv().await {
                Ok(News::Changed { revision, accounts }) => (revision, accounts),
                Ok(News::Reloaded) => return Err(again("the directory has loaded anew")),
                Err(RecvError::Lagged(_)) => return Err(again("this shard has fallen behind")),
                Err(RecvError::Closed) => return Err(again("the directory stops")),
            };
            let mine = accounts.iter().filter(|change| self.concerns(change));
            let mine: Vec<_> = mine.map(|change| change.account).collect();
            if mine.is_empty() {
                continue;
            }
            let map = self.shared.read();
            self.check(&map)?;
            return Ok(WatchReply {
                entries: entries(&map, mine),
                snapshot_complete: true,
                revision: revision.0,
            });
        }
    }

    fn concerns(&self, change: &AccountChange) -> bool {
        let here = Some(&self.shard);
        change.before.as_ref() == here || change.after.as_ref() == here
    }

    /// A process that was taken over from follows no longer.
    fn check(&self, map: &Map) -> Result<(), Status> {
        let record = map.shard(&self.shard).and_then(|shard| shard.record());
        let newest = record.map_or(0, |record| record.incarnation);
        match newest > self.incarnation.0 {
            true => Err(Status::failed_precondition(format!(
                "incarnation {newest} of this shard has taken over"
            ))),
            false => Ok(()),
        }
    }
}

/// What is known of accounts; those that are gone were dropped by the shard itself.
fn entries(map: &Map, accounts: impl IntoIterator<Item = AccountId>) -> Vec<AccountEntry> {
    let known = accounts.into_iter().filter_map(|id| map.account(id));
    known.map(|account| entry(&account)).collect()
}

fn entry(account: &Account<'_>) -> AccountEntry {
    let shard = account.shard();
    let record = shard.record().cloned().unwrap_or_default();
    AccountEntry {
        route: Some(Route {
            account: account.id().to_field(),
            shard: shard.name().to_string(),
            epoch: account.epoch().0,
            rpc_endpoint: record.rpc_endpoint,
            pop3_endpoint: record.pop3_endpoint,
        }),
        state: account.state().into(),
        quota: Some(account.quota()),
        uid_validity: account.uid_validity(),
        move_id: account
            .move_id()
            .map(|id| id.to_field())
            .unwrap_or_default(),
    }
}

fn again(reason: &str) -> Status {
    Status::unavailable(format!("{reason}: watch again"))
}
