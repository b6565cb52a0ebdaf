//! Shards: names by number, and which accounts are assigned to each.

use std::collections::BTreeMap;

use wire::ids::ShardName;
use wire::rpc::{AccountState, AccountsByState, ShardLoad, ShardState, ShardWord};

use crate::model::records::{
    LeaseRecord, LoadRecord, OpeningRecord, ShardRecord, ShardStateRecord,
};

use super::arena::Handle;
use super::entry::set_position;
use super::{Account, Map};

/// What is known of one shard.
pub struct Shard {
    name: ShardName,
    pub(super) state: Option<ShardStateRecord>,
    pub(super) record: Option<ShardRecord>,
    pub(super) load: Option<LoadRecord>,
    pub(super) opening: Option<OpeningRecord>,
    pub(super) lease: Option<LeaseRecord>,
    /// Its accounts' blocks; each block knows its place here.
    accounts: Vec<u32>,
    by_state: AccountsByState,
}

impl Shard {
    /// Its name.
    pub fn name(&self) -> &ShardName {
        &self.name
    }

    /// Its state; none: the shard was never added.
    pub fn state(&self) -> Option<ShardState> {
        self.state.as_ref().map(ShardStateRecord::state)
    }

    /// The run of its process that was last granted a lease; none: it never held one.
    pub fn record(&self) -> Option<&ShardRecord> {
        self.record.as_ref()
    }

    /// How full it is, as it last said; none: it never did.
    pub fn load(&self) -> Option<&ShardLoad> {
        self.load.as_ref()?.load.as_ref()
    }

    /// When it said so, by the clock of the replica that it told.
    pub fn load_told_at_ms(&self) -> Option<i64> {
        Some(self.load.as_ref()?.told_at_ms)
    }

    /// How the opening of its volume goes, as it last said; none: its lease was granted since.
    pub fn opening(&self) -> Option<&OpeningRecord> {
        self.opening.as_ref()
    }

    /// The lease that is held on it now.
    pub fn lease(&self) -> Option<&LeaseRecord> {
        self.lease.as_ref()
    }

    /// Whether its newest incarnation holds the lease and says that it serves.
    pub fn is_serving(&self) -> bool {
        let newest = self.record.as_ref().map(|record| record.incarnation);
        let lease = self.lease.as_ref();
        lease.is_some_and(|lease| lease.serving && Some(lease.incarnation) == newest)
    }

    /// The word on it for whoever calls it; none: it never held a lease.
    pub fn word(&self) -> Option<ShardWord> {
        let record = self.record.as_ref()?;
        Some(ShardWord {
            shard: self.name.to_string(),
            incarnation: record.incarnation,
            serving: self.is_serving(),
            rpc_endpoint: record.rpc_endpoint.clone(),
        })
    }

    /// Its state with generation and weight.
    pub fn state_record(&self) -> Option<&ShardStateRecord> {
        self.state.as_ref()
    }

    /// Accounts assigned to it, removed ones included.
    pub fn accounts(&self) -> u64 {
        self.accounts.len() as u64
    }

    /// Of these, how many are in which state.
    pub fn accounts_by_state(&self) -> AccountsByState {
        self.by_state
    }

    fn count_of(&mut self, state: AccountState) -> Option<&mut u64> {
        match state {
            AccountState::Unspecified => None,
            AccountState::Creating => Some(&mut self.by_state.creating),
            AccountState::Active => Some(&mut self.by_state.active),
            AccountState::Removed => Some(&mut self.by_state.removed),
            AccountState::Purging => Some(&mut self.by_state.purging),
        }
    }
}

/// All shards that were ever named. Names are never used again, so none is forgotten.
#[derive(Default)]
pub(super) struct Shards {
    slots: Vec<Shard>,
    by_name: BTreeMap<ShardName, u16>,
}

impl Shards {
    /// The name's number, made if need be.
    pub(super) fn intern(&mut self, name: &ShardName) -> u16 {
        if let Some(number) = self.by_name.get(name) {
            return *number;
        }
        // More shards than numbers: the last number is shared, which only listings would notice;
        // 65,536 shards are beyond any cluster this map fits in memory for.
        let number = u16::try_from(self.slots.len()).unwrap_or(u16::MAX);
        self.slots.push(Shard {
            name: name.clone(),
            state: None,
            record: None,
            load: None,
            opening: None,
            lease: None,
            accounts: Vec::new(),
            by_state: AccountsByState::default(),
        });
        self.by_name.insert(name.clone(), number);
        number
    }

    pub(super) fn slot_mut(&mut self, name: &ShardName) -> &mut Shard {
        let number = self.intern(name);
        &mut self.slots[usize::from(number)]
    }

    pub(super) fn by_number(&self, number: u16) -> &Shard {
        &self.slots[usize::from(number)]
    }

    /// Adds the block of an account in this state; its place.
    pub(super) fn push(&mut self, number: u16, account: Handle, state: AccountState) -> u32 {
        let slot = &mut self.slots[usize::from(number)];
        slot.accounts.push(account.0);
        if let Some(count) = slot.count_of(state) {
            *count += 1;
        }
        (slot.accounts.len() - 1) as u32
    }

    /// Takes out the account at a place, which is in this state; the block that takes its place,
    /// if one does.
    pub(super) fn remove(
        &mut self,
        number: u16,
        position: u32,
        state: AccountState,
    ) -> Option<Handle> {
        let slot = &mut self.slots[usize::from(number)];
        if let Some(count) = slot.count_of(state) {
            *count -= 1;
        }
        slot.accounts.swap_remove(position as usize);
        slot.accounts.get(position as usize).copied().map(Handle)
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots
            .iter()
            .map(|slot| size_of::<Shard>() + slot.accounts.capacity() * 4)
            .sum()
    }
}

impl Map {
    /// Changes what is known of a shard, and counts it if the word on it is another then.
    pub(super) fn set_shard(&mut self, name: &ShardName, change: impl FnOnce(&mut Shard)) {
        let shard = self.shards.slot_mut(name);
        let before = shard.word();
        change(shard);
        if shard.word() != before {
            self.words_changed += 1;
        }
    }

    /// How often the word on a shard changed.
    pub(super) fn words_changed(&self) -> u64 {
        self.words_changed
    }

    /// What is known of a shard.
    pub fn shard(&self, name: &ShardName) -> Option<&Shard> {
        let number = self.shards.by_name.get(name)?;
        Some(self.shards.by_number(*number))
    }

    /// Every shard that was ever named, in the order of names.
    pub fn shards(&self) -> impl Iterator<Item = &Shard> {
        let numbers = self.shards.by_name.values();
        numbers.map(|number| self.shards.by_number(*number))
    }

    /// The accounts that are assigned to a shard, removed ones included, in no order.
    pub fn accounts_of(&self, shard: &ShardName) -> impl Iterator<Item = Account<'_>> {
        let blocks = self.shard(shard).map_or(&[][..], |shard| &shard.accounts);
        blocks.iter().map(|block| self.account_at(Handle(*block)))
    }

    /// Takes the block of an account in this state out of its shard's list.
    pub(super) fn leave_shard(&mut self, number: u16, position: u32, state: AccountState) {
        if let Some(moved) = self.shards.remove(number, position, state) {
            set_position(self.arena.get_mut(moved), position);
        }
    }
}
