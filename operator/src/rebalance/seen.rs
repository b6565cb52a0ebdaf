//! What the directory tells of shards and moves, at one moment.

use std::collections::HashMap;

use kit::rpc::Channel;
use plan::{Load, OpenMove};
use wire::ids::IdError;
use wire::rpc::{Move, ShardInfo};

use super::ask::{self, Which};
use super::carry::Wanted;
use super::progress::Left;
use super::stop::{Tag, is_open, stale};
use super::{Failed, Wish, period, untold};

/// Shards and moves.
pub(super) struct Seen {
    pub(super) loads: Vec<Load>,
    /// Every move that the directory remembers, if they were asked for.
    pub(super) all: Option<Vec<Move>>,
    /// Those that have not ended.
    pub(super) open: Vec<Move>,
}

impl Seen {
    /// Asks for moves as far as they matter; those whose reason is gone are given up first.
    pub(super) async fn of(
        shards: &[ShardInfo],
        channel: &Channel,
        wish: &Wish,
    ) -> Result<Self, Failed> {
        let loads: Result<Vec<Option<Load>>, IdError> = shards.iter().map(Load::told).collect();
        let mut seen = Self {
            loads: loads?.into_iter().flatten().collect(),
            all: None,
            open: Vec::new(),
        };
        let which = match wish.running() {
            Some(_) => Which::All,
            None => Which::Open,
        };
        let some_are_open = shards.iter().any(|shard| shard.moves_out > 0);
        if !some_are_open && wish.running().is_none() {
            return Ok(seen);
        }
        seen.look(channel, which).await?;
        let running = wish.running().map(|plan| plan.id.as_str());
        let stale = stale(&seen.open, &seen.loads, wish.rebalance.mode, running);
        for (shard, tag) in &stale {
            ask::abort(channel, shard, tag).await?;
        }
        if !stale.is_empty() {
            seen.look(channel, which).await?;
        }
        Ok(seen)
    }

    async fn look(&mut self, channel: &Channel, which: Which) -> Result<(), Failed> {
        let moves = ask::moves(channel, which).await?;
        let open = moves.iter().filter(|told| is_open(told.phase()));
        self.open = open.cloned().collect();
        self.all = match which {
            Which::All => Some(moves),
            Which::Open => None,
        };
        Ok(())
    }

    /// How many of those that are open somebody's plan or mode has asked for.
    pub(super) fn of_ours(&self) -> usize {
        let ours = self.open.iter().filter(|told| Tag::of(told).is_some());
        ours.count()
    }

    /// What was done since then.
    pub(super) async fn moved(&mut self, channel: &Channel, since_ms: i64) -> Result<Left, Failed> {
        Ok(period::moved(self.all(channel).await?, since_ms))
    }

    /// Every move that the directory remembers.
    pub(super) async fn all(&mut self, channel: &Channel) -> Result<&[Move], Failed> {
        if self.all.is_none() {
            self.all = Some(ask::moves(channel, Which::All).await?);
        }
        Ok(self.all.as_deref().unwrap_or_default())
    }

    /// Adds to the loads what shards have not told yet of moves that are done.
    pub(super) async fn add_untold(
        &mut self,
        channel: &Channel,
        shards: &[ShardInfo],
    ) -> Result<(), Failed> {
        self.all(channel).await?;
        let moves = self.all.as_deref().unwrap_or_default();
        untold::add(&mut self.loads, shards, moves, kit::clock::unix_ms());
        Ok(())
    }

    /// The open ones, for the planner.
    pub(super) fn told(&self) -> Result<Vec<OpenMove>, IdError> {
        self.open.iter().map(OpenMove::told).collect()
    }

    /// As if every shard served: one that restarts makes no other plan.
    pub(super) fn calm(&self) -> Vec<Load> {
        let calm = |load: &Load| Load {
            serving: true,
            ..load.clone()
        };
        self.loads.iter().map(calm).collect()
    }

    /// What has not arrived yet, of what is open and of what is wanted.
    pub(super) fn left(&self, wanted: &[Wanted]) -> Left {
        let means: HashMap<&str, u64> = self
            .loads
            .iter()
            .map(|load| (load.shard.as_str(), mean(load)))
            .collect();
        let mean = |shard: &str| means.get(shard).copied().unwrap_or(0);
        Left::of(&self.open, wanted.iter().map(|it| &it.flow), mean)
    }
}

/// Octets of an account of a shard.
pub(super) fn mean(load: &Load) -> u64 {
    load.bytes.checked_div(load.accounts).unwrap_or(0)
}
