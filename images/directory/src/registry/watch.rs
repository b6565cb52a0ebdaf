//! A shard follows its accounts: all of them or what it missed, then every change.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use kit::pause::some_of;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, Interval, interval_at};
use tonic::Status;
use wire::answer::NotMe;
use wire::ids::{AccountId, Incarnation, ShardName};
use wire::rpc::{AccountEntry, Debt, Route, WatchReply, WatchRequest};

use super::Registry;
use crate::contact::refused;
use crate::map::{Account, AccountChange, Map, News, Shared};
use crate::store::{Freshness, Revision};

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
        let (to_tell, revision, news) = self.begin(&shard, Revision(request.after));
        let watch = Watch {
            shared: Arc::clone(&self.shared),
            freshness: Arc::clone(&self.freshness),
            shard,
            incarnation,
            revision,
            to_tell,
            news,
            beat: beats(self.config.watch_beat),
            proof: self.config.proof,
            owed: None,
            ended: false,
        };
        let shutdown = self.shutdown.clone();
        let closing = async move { shutdown.closing().await };
        let replies = stream::unfold(watch, Watch::next).take_until(closing);
        Ok(replies.boxed())
    }

    /// What the shard missed, if that is known; else everything.
    fn begin(&self, shard: &ShardName, after: Revision) -> (ToTell, Revision, Receiver<News>) {
        if after > Revision(0)
            && let Some((missed, revision, news)) = self.shared.resume(after)
        {
            let mine = missed.iter().filter(|change| concerns(shard, change));
            let accounts: BTreeSet<_> = mine.map(|change| change.account).collect();
            return (
                ToTell::Missed(accounts.into_iter().collect()),
                revision,
                news,
            );
        }
        let (accounts, revision, news) = self.shared.follow(|map| all(map, shard));
        (ToTell::All(accounts), revision, news)
    }
}

fn beats(beat: Duration) -> Interval {
    interval_at(Instant::now() + some_of(beat), beat)
}

/// One shard's watch.
struct Watch {
    shared: Arc<Shared>,
    freshness: Arc<Freshness>,
    shard: ShardName,
    incarnation: Incarnation,
    revision: Revision,
    to_tell: ToTell,
    news: Receiver<News>,
    /// When to tell that the watch lives.
    beat: Interval,
    /// How long a proof may take.
    proof: Duration,
    /// This was proven to be the newest; it is told once all the news up to it are.
    owed: Option<Revision>,
    ended: bool,
}

/// What is still to be told before the news. The accounts' state is read when they are told: one that
/// changed since is told as it is then, and again as a change.
enum ToTell {
    /// The shard's accounts.
    All(VecDeque<AccountId>),
    /// Those that changed since the shard last heard.
    Missed(VecDeque<AccountId>),
    Nothing,
}

impl Watch {
    async fn next(mut self) -> Option<(Result<WatchReply, Status>, Self)> {
        if self.ended {
            return None;
        }
        let reply = match std::mem::replace(&mut self.to_tell, ToTell::Nothing) {
            ToTell::All(accounts) => Ok(self.page(accounts)),
            ToTell::Missed(accounts) => Ok(self.missed(accounts)),
            ToTell::Nothing => self.news().await,
        };
        self.ended = reply.is_err();
        Some((reply, self))
    }

    /// The next page of the snapshot; the last one says so.
    fn page(&mut self, mut accounts: VecDeque<AccountId>) -> WatchReply {
        let page = self.first_of(&mut accounts);
        let snapshot_complete = accounts.is_empty();
        if !snapshot_complete {
            self.to_tell = ToTell::All(accounts);
        }
        WatchReply {
            snapshot_complete,
            revision: self.revision.0,
            ..page
        }
    }

    /// A page of what was missed. Only the last one says up to where: whoever heard less of it comes
    /// back for all of it.
    fn missed(&mut self, mut accounts: VecDeque<AccountId>) -> WatchReply {
        let page = self.first_of(&mut accounts);
        let is_last = accounts.is_empty();
        if !is_last {
            self.to_tell = ToTell::Missed(accounts);
        }
        WatchReply {
            snapshot_complete: true,
            revision: if is_last { self.revision.0 } else { 0 },
            resumed: true,
            ..page
        }
    }

    fn first_of(&self, accounts: &mut VecDeque<AccountId>) -> WatchReply {
        let count = accounts.len().min(PAGE);
        let page: Vec<_> = accounts.drain(..count).collect();
        known(&self.shared.read(), &self.shard, &page)
    }

    /// The next transaction that concerns this shard, or that there is none.
    async fn news(&mut self) -> Result<WatchReply, Status> {
        loop {
            tokio::select! {
                news = self.news.recv() => {
                    if let Some(reply) = self.read(news)? {
                        return Ok(reply);
                    }
                }
                _ = self.beat.tick() => {
                    if let Some(reply) = self.prove().await? {
                        return Ok(reply);
                    }
                }
            }
        }
    }

    fn read(&mut self, news: Result<News, RecvError>) -> Result<Option<WatchReply>, Status> {
        let (revision, accounts) = match news {
            Ok(News::Changed { revision, accounts }) => (revision, accounts),
            Ok(News::Reloaded) => return Err(again("the directory has loaded anew")),
            Err(RecvError::Lagged(_)) => return Err(again("this shard has fallen behind")),
            Err(RecvError::Closed) => return Err(again("the directory stops")),
        };
        let mine = accounts
            .iter()
            .filter(|change| concerns(&self.shard, change));
        // An account and what is owed of it may change together.
        let mine: BTreeSet<_> = mine.map(|change| change.account).collect();
        let mine: Vec<_> = mine.into_iter().collect();
        let is_owed = self.owed.is_some_and(|owed| owed <= revision);
        if mine.is_empty() && !is_owed {
            return Ok(None);
        }
        self.owed = self.owed.filter(|_| !is_owed);
        let map = self.shared.read();
        self.check(&map)?;
        Ok(Some(told(known(&map, &self.shard, &mine), revision)))
    }

    /// Proves that this replica is current: else the shard is to watch another one.
    async fn prove(&mut self) -> Result<Option<WatchReply>, Status> {
        let deadline = Instant::now() + self.proof;
        let proof = self.freshness.prove_current(deadline).await;
        proof.map_err(|_| refused(NotMe::OutOfTouch))?;
        match self.shared.all_told(&self.news) {
            Some(revision) => {
                self.check(&self.shared.read())?;
                Ok(Some(told(WatchReply::default(), revision)))
            }
            None => {
                self.owed = Some(self.shared.revision());
                Ok(None)
            }
        }
    }

    fn check(&self, map: &Map) -> Result<(), Status> {
        refuse_if_superseded(map, &self.shard, self.incarnation)
    }
}

/// A process that was taken over from is told nothing any more.
pub(super) fn refuse_if_superseded(
    map: &Map,
    shard: &ShardName,
    incarnation: Incarnation,
) -> Result<(), Status> {
    let record = map.shard(shard).and_then(|shard| shard.record());
    let newest = record.map_or(0, |record| record.incarnation);
    match newest > incarnation.0 {
        true => Err(Status::failed_precondition(format!(
            "incarnation {newest} of this shard has taken over"
        ))),
        false => Ok(()),
    }
}

fn concerns(shard: &ShardName, change: &AccountChange) -> bool {
    let here = Some(shard);
    change.before.as_ref() == here || change.after.as_ref() == here
}

/// The shard's accounts, and those of which it owes something.
fn all(map: &Map, shard: &ShardName) -> VecDeque<AccountId> {
    let here = map.accounts_of(shard).map(|account| account.id());
    let owed = map.debts_of(shard).map(|(account, _)| account);
    let owed: BTreeSet<_> = owed.collect();
    let here = here.filter(|id| !owed.contains(id));
    here.chain(owed.iter().copied()).collect()
}

fn told(known: WatchReply, revision: Revision) -> WatchReply {
    WatchReply {
        snapshot_complete: true,
        revision: revision.0,
        ..known
    }
}

/// The accounts as they are, and what the shard owes of them.
fn known(map: &Map, shard: &ShardName, accounts: &[AccountId]) -> WatchReply {
    WatchReply {
        entries: entries(map, accounts),
        debts: debts(map, shard, accounts),
        ..WatchReply::default()
    }
}

/// What is known of accounts; those that are gone were dropped by the shard itself.
pub(super) fn entries(map: &Map, accounts: &[AccountId]) -> Vec<AccountEntry> {
    let known = accounts.iter().filter_map(|id| map.account(*id));
    known.map(|account| entry(map, &account)).collect()
}

/// What a shard owes of accounts, whether they are gone or not.
fn debts(map: &Map, shard: &ShardName, accounts: &[AccountId]) -> Vec<Debt> {
    let owed = accounts.iter().filter_map(|id| {
        let debt = map.debt(shard, *id)?;
        Some(Debt {
            account: id.to_field(),
            move_id: debt.move_id.clone(),
            epoch: debt.epoch,
            due: debt.due,
        })
    });
    owed.collect()
}

fn entry(map: &Map, account: &Account<'_>) -> AccountEntry {
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
        keepers: map
            .keepers(account.id())
            .map(ShardName::to_string)
            .collect(),
    }
}

fn again(reason: &str) -> Status {
    Status::unavailable(format!("{reason}: watch again"))
}
