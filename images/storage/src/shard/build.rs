//! Builds an account that a move brings: many records ahead of their syncs, in a bounded window.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use wire::ids::AccountId;

use super::inner::{Inner, Receipt};
use super::slots::Slot;
use super::{Shard, Unready, Why};
use crate::account::Account;
use crate::records::{Change, Entry, Imported};

/// Records that wait for their sync; with [`WINDOW_OCTETS`], what a build keeps in memory.
const WINDOW_RECORDS: usize = 256;

/// Octets of bodies that wait for their sync.
const WINDOW_OCTETS: u64 = 16 << 20;

/// Whether the account is still whoever builds it's to change; asked under its lock.
pub(crate) type IsMine<'a> = Box<dyn Fn(&Account) -> bool + Send + Sync + 'a>;

/// Why nothing more is added to an account.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// Not now.
    #[error(transparent)]
    Unready(#[from] Unready),
    /// Another builds it, or nobody does.
    #[error("the account is no longer being built by this move")]
    Superseded,
}

/// An account that is being built.
pub(crate) struct Build<'a> {
    shard: &'a Inner,
    slot: Arc<Slot>,
    is_mine: IsMine<'a>,
    window: VecDeque<(Receipt, u64)>,
    window_octets: u64,
}

impl Shard {
    /// Adds to an account for as long as `is_mine` says so.
    pub(crate) fn build<'a>(&'a self, id: AccountId, is_mine: IsMine<'a>) -> Build<'a> {
        Build {
            shard: &self.inner,
            slot: self.inner.slots.get(id),
            is_mine,
            window: VecDeque::new(),
            window_octets: 0,
        }
    }
}

impl Build<'_> {
    /// Queues a change; waits while the window is full.
    pub(crate) async fn change(&mut self, change: Change) -> Result<(), BuildError> {
        let entry = Entry::Change(self.slot.id, change);
        self.queue(entry, &[], &[], 0).await
    }

    /// Queues a message; waits while the window is full.
    pub(crate) async fn message(
        &mut self,
        imported: Imported,
        prefix: Bytes,
        body: &[Bytes],
    ) -> Result<(), BuildError> {
        let octets = prefix.len() as u64 + imported.body_length;
        let entry = Entry::Imported(Imported {
            account: self.slot.id,
            ..imported
        });
        self.queue(entry, &[prefix], body, octets).await
    }

    /// Waits until all that was queued is durable and indexed.
    pub(crate) async fn all_done(&mut self) -> Result<(), Unready> {
        while self.one_done().await? {}
        Ok(())
    }

    /// Likewise, and under the lease: what was built may be acknowledged.
    pub(crate) async fn acknowledged(&mut self) -> Result<(), Unready> {
        self.all_done().await?;
        Ok(self.shard.lease.for_write().await?)
    }

    async fn queue(
        &mut self,
        entry: Entry,
        prefixes: &[Bytes],
        body: &[Bytes],
        octets: u64,
    ) -> Result<(), BuildError> {
        while self.is_full(octets) {
            self.one_done().await?;
        }
        if self.shard.is_nearly_full() {
            return Err(Unready::from(Why::NearlyFull).into());
        }
        let mut desk = self.slot.desk(&self.shard.index).map_err(Unready::from)?;
        if !desk.account.as_ref().is_some_and(&self.is_mine) {
            return Err(BuildError::Superseded);
        }
        let work = &mut [(&self.slot, &mut *desk)];
        let receipt = self.shard.queue(entry, prefixes, body, work)?;
        self.window.push_back((receipt, octets));
        self.window_octets += octets;
        Ok(())
    }

    /// Whether so many octets more are too many; one message has room, however large.
    fn is_full(&self, more: u64) -> bool {
        self.window.len() >= WINDOW_RECORDS
            || !self.window.is_empty() && self.window_octets + more > WINDOW_OCTETS
    }

    /// Waits for the oldest; false: there is none.
    async fn one_done(&mut self) -> Result<bool, Unready> {
        let Some((receipt, octets)) = self.window.pop_front() else {
            return Ok(false);
        };
        self.window_octets -= octets;
        self.shard.done(receipt).await?;
        Ok(true)
    }
}
