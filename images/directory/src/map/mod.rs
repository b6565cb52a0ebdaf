//! The whole directory in memory, hash-indexed: lookups never touch a disk.
//!
//! Addresses, accounts and credentials are blocks in an arena, found by tables of 32-bit
//! handles; every key of the store changes the map by itself, in any order. What only listings and
//! writes need (placement, times of change) stays in the store.
//!
//! One writer follows the store, many readers look up: see [`Shared`].

mod accounts;
mod addresses;
mod arena;
mod codec;
mod debts;
mod domains;
mod entry;
mod follow;
mod fuzz;
mod oldest;
mod order;
mod shards;
mod shared;
mod table;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher as _, Hash};
use std::ops::Bound;

use hashbrown::DefaultHashBuilder;
use prost::Message;
use wire::ids::{AccountId, ClusterId, RequestId, ShardName};
use wire::rpc::MoveLimits;

use crate::model::Key;
use crate::model::records::{
    ClusterRecord, MoveLimitsRecord, MoveRecord, MoverRecord, RequestRecord,
};

pub use accounts::Account;
pub use addresses::{Address, LeadsTo};
pub use domains::Domain;
pub use entry::Targets;
pub use follow::follow;
pub use fuzz::fuzz;
pub use shards::Shard;
pub use shared::{News, Shared};

use self::arena::Arena;
use self::debts::Debts;
use self::domains::Domains;
use self::shards::Shards;
use self::table::Table;

/// The map.
#[derive(Default)]
pub struct Map {
    arena: Arena,
    hasher: DefaultHashBuilder,
    domains: Domains,
    shards: Shards,
    addresses: Table,
    accounts: Table,
    credentials: Table,
    /// Aliases by each of their targets.
    aliases_to: Table,
    /// Removed and purging accounts, by the address they had.
    former: BTreeMap<Box<str>, Vec<AccountId>>,
    moves: HashMap<AccountId, MoveRecord>,
    /// The same, by the addresses that they are listed by.
    moved: BTreeSet<(Box<str>, AccountId)>,
    /// Those whose move is open.
    moving: HashSet<AccountId>,
    /// Octets that open moves still bring, by their targets.
    bringing: HashMap<String, u64>,
    debts: Debts,
    /// When each request that is remembered was done, in milliseconds since 1970.
    requests: HashMap<RequestId, i64>,
    over_quota: HashSet<AccountId>,
    cluster: Option<ClusterId>,
    move_limits: Option<MoveLimits>,
    mover: Option<MoverRecord>,
    /// Keys that this version does not know.
    unknown: u64,
    /// How often the word on a shard changed.
    words_changed: u64,
}

/// A value in the store that cannot be read; the map did not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store's value of {key} cannot be read: {why}")]
pub struct ApplyError {
    key: String,
    why: String,
}

/// What a key's change means to those who follow accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountChange {
    /// The account that changed.
    pub account: AccountId,
    /// The shard that had it before; none: it is new.
    pub before: Option<ShardName>,
    /// The shard that has it now; none: it is gone.
    pub after: Option<ShardName>,
}

impl Map {
    /// Puts (`Some`) or deletes (`None`) one key of the store.
    pub fn apply(
        &mut self,
        key: &str,
        value: Option<&[u8]>,
    ) -> Result<Option<AccountChange>, ApplyError> {
        let Ok(parsed) = key.parse::<Key>() else {
            // A newer version's key: rolling upgrades run two versions side by side.
            self.unknown += 1;
            return Ok(None);
        };
        self.apply_key(parsed, value).map_err(|why| ApplyError {
            key: key.to_owned(),
            why,
        })
    }

    fn apply_key(
        &mut self,
        key: Key,
        value: Option<&[u8]>,
    ) -> Result<Option<AccountChange>, String> {
        match key {
            Key::Account(id) => return self.set_account(id, read(value)?),
            Key::Address(text) => self.set_address(&text, read(value)?)?,
            Key::Credential(id) => self.set_credential(id, read(value)?),
            Key::Cluster => self.cluster = cluster_id(value)?,
            Key::MoveLimits => {
                let record: Option<MoveLimitsRecord> = read(value)?;
                self.move_limits = record.and_then(|record| record.limits);
            }
            Key::Mover => self.mover = read(value)?,
            // Only read by whoever counts on.
            Key::Ordinals => {}
            Key::Domain(name) => self.domains.set(&name, read(value)?),
            Key::ShardState(name) => self.shards.slot_mut(&name).state = read(value)?,
            Key::Shard(name) => {
                let record = read(value)?;
                self.set_shard(&name, |shard| shard.record = record);
            }
            Key::Load(name) => self.shards.slot_mut(&name).load = read(value)?,
            Key::Opening(name) => self.shards.slot_mut(&name).opening = read(value)?,
            Key::Lease(name) => {
                let lease = read(value)?;
                self.set_shard(&name, |shard| shard.lease = lease);
            }
            // Asked of the store when a shard starts; nobody else needs it.
            Key::Volume(_) => {}
            Key::Move(id) => self.set_move(id, read(value)?),
            Key::Debt(shard, id) => return Ok(self.set_debt(&shard, id, read(value)?)),
            Key::Request(id) => set(&mut self.requests, id, done_at_ms(value)?),
            Key::Quota(id) => self.set_over_quota(id, value.is_some()),
        }
        Ok(None)
    }

    fn set_move(&mut self, account: AccountId, record: Option<MoveRecord>) {
        let open = |record: Option<&MoveRecord>| {
            let record = record.filter(|record| record.is_open())?;
            Some((
                record.target.clone(),
                record.total_bytes.saturating_sub(record.bytes),
            ))
        };
        if let Some((target, bytes)) = open(self.moves.get(&account))
            && let Some(sum) = self.bringing.get_mut(&target)
        {
            *sum = sum.saturating_sub(bytes);
            if *sum == 0 {
                self.bringing.remove(&target);
            }
        }
        match open(record.as_ref()) {
            Some((target, bytes)) => {
                self.moving.insert(account);
                let sum = self.bringing.entry(target).or_default();
                *sum = sum.saturating_add(bytes);
            }
            None => {
                self.moving.remove(&account);
            }
        }
        let place = |record: &MoveRecord| (record.address.as_str().into(), account);
        if let Some(before) = self.moves.get(&account).map(place) {
            self.moved.remove(&before);
        }
        self.moved.extend(record.as_ref().map(place));
        set(&mut self.moves, account, record);
    }

    fn set_over_quota(&mut self, account: AccountId, over: bool) {
        if over {
            self.over_quota.insert(account);
        } else {
            self.over_quota.remove(&account);
        }
    }

    /// The cluster's id; none: the store is empty.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.cluster
    }

    /// What moves may cost, as it was set; none: it never was.
    pub fn move_limits(&self) -> Option<MoveLimits> {
        self.move_limits
    }

    /// The replica that drives moves.
    pub fn mover(&self) -> Option<&MoverRecord> {
        self.mover.as_ref()
    }

    /// The open or last move of an account.
    pub fn move_of(&self, account: AccountId) -> Option<&MoveRecord> {
        self.moves.get(&account)
    }

    /// Every account's open or last move.
    pub fn moves(&self) -> impl Iterator<Item = (AccountId, &MoveRecord)> {
        self.moves
            .iter()
            .map(|(account, record)| (*account, record))
    }

    /// Likewise, those whose addresses come after this one, in their order.
    pub fn moves_after(&self, address: &str) -> impl Iterator<Item = (AccountId, &MoveRecord)> {
        let last = (address.into(), AccountId::from_bytes([u8::MAX; 16]));
        let rest = self.moved.range((Bound::Excluded(last), Bound::Unbounded));
        rest.filter_map(|(_, account)| Some((*account, self.moves.get(account)?)))
    }

    /// Every account's move that is open: cheap, however many there were.
    pub fn open_moves(&self) -> impl Iterator<Item = (AccountId, &MoveRecord)> {
        let open = self.moving.iter();
        open.filter_map(|account| Some((*account, self.moves.get(account)?)))
    }

    /// Octets that open moves still bring to a shard, all together; those of this account do not
    /// count.
    pub fn bringing(&self, target: &ShardName, except: AccountId) -> u64 {
        let all = self.bringing.get(target.as_str()).copied().unwrap_or(0);
        let own = self.moves.get(&except);
        let own = own.filter(|own| own.is_open() && own.target == target.as_str());
        all.saturating_sub(own.map_or(0, |own| own.total_bytes.saturating_sub(own.bytes)))
    }

    /// Every request that is remembered, with the time it was done, in milliseconds since 1970.
    pub fn requests(&self) -> impl Iterator<Item = (RequestId, i64)> {
        self.requests
            .iter()
            .map(|(id, done_at_ms)| (*id, *done_at_ms))
    }

    /// Whether the account's shard reports it over its quota.
    pub fn is_over_quota(&self, account: AccountId) -> bool {
        self.over_quota.contains(&account)
    }

    /// Keys of the store that this version does not know.
    pub fn unknown_keys(&self) -> u64 {
        self.unknown
    }

    /// Octets of memory that domains, addresses, accounts, credentials and their indexes hold.
    pub fn bytes(&self) -> usize {
        let tables = [
            &self.addresses,
            &self.accounts,
            &self.credentials,
            &self.aliases_to,
        ];
        let tables: usize = tables.into_iter().map(Table::bytes).sum();
        self.arena.bytes() + tables + self.domains.bytes() + self.shards.bytes()
    }

    fn hash(&self, value: impl Hash) -> u64 {
        self.hasher.hash_one(value)
    }
}

/// Decodes a record, if there is one.
fn read<M: Message + Default>(value: Option<&[u8]>) -> Result<Option<M>, String> {
    value
        .map(M::decode)
        .transpose()
        .map_err(|error| error.to_string())
}

fn cluster_id(value: Option<&[u8]>) -> Result<Option<ClusterId>, String> {
    let record: Option<ClusterRecord> = read(value)?;
    record
        .map(|record| ClusterId::from_slice(&record.cluster_id).map_err(|error| error.to_string()))
        .transpose()
}

fn done_at_ms(value: Option<&[u8]>) -> Result<Option<i64>, String> {
    let record: Option<RequestRecord> = read(value)?;
    Ok(record.map(|record| record.done_at_ms))
}

fn set<K: Eq + Hash, V>(map: &mut HashMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}

#[cfg(test)]
mod tests;
