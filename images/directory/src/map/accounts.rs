//! Accounts and their credentials.

use std::ops::Bound;

use wire::ids::{AccountId, Epoch, MoveId, ShardName};
use wire::rpc::{AccountState, Quota};

use crate::credential;
use crate::model::records::{AccountRecord, CredentialRecord};

use super::arena::Handle;
use super::entry::{AccountEntry, AddressEntry, Leads, id_of};
use super::oldest::Oldest;
use super::{AccountChange, Map, Shard};

/// An account.
#[derive(Clone, Copy)]
pub struct Account<'a> {
    entry: AccountEntry<'a>,
    shard: &'a Shard,
    domain: &'a str,
}

impl<'a> Account<'a> {
    /// Its id.
    pub fn id(&self) -> AccountId {
        self.entry.id
    }

    /// Its primary address, canonical; after removal the one it had.
    pub fn address(&self) -> String {
        format!("{}@{}", self.entry.local, self.domain)
    }

    /// The shard it is on.
    pub fn shard(&self) -> &'a Shard {
        self.shard
    }

    /// Its epoch at that shard.
    pub fn epoch(&self) -> Epoch {
        self.entry.epoch
    }

    /// Its state.
    pub fn state(&self) -> AccountState {
        self.entry.state
    }

    /// The shard has not yet confirmed state and epoch durably.
    pub fn pending(&self) -> bool {
        self.entry.pending
    }

    /// When it was ordered, in milliseconds since 1970.
    pub fn created_at_ms(&self) -> i64 {
        self.entry.created_at_ms
    }

    /// When it was removed, in milliseconds since 1970; 0: it was not.
    pub fn removed_at_ms(&self) -> i64 {
        self.entry.removed_at_ms
    }

    /// The lowest UIDVALIDITY that is not void; the first one is no older than the account.
    pub fn uid_validity(&self) -> u64 {
        let created = u64::try_from(self.created_at_ms() / 1000).unwrap_or(0);
        created.max(self.entry.uid_validity)
    }

    /// The UIDVALIDITY that a replaced volume asked for; 0: none was.
    pub fn replaced(&self) -> u64 {
        self.entry.uid_validity
    }

    /// Its soft limits.
    pub fn quota(&self) -> Quota {
        self.entry.quota
    }

    /// Its open move.
    pub fn move_id(&self) -> Option<MoveId> {
        self.entry.move_id
    }
}

impl Map {
    /// An account by its id.
    pub fn account(&self, id: AccountId) -> Option<Account<'_>> {
        self.find_account(id).map(|block| self.account_at(block))
    }

    /// Number of accounts, in every state.
    pub fn account_count(&self) -> usize {
        self.accounts.len()
    }

    /// The stored hash of an account's password, a PHC string.
    pub fn credential(&self, id: AccountId) -> Option<String> {
        let block = self.arena.get(self.find_credential(id)?);
        Some(credential::unpack(&block[id.as_bytes().len()..]))
    }

    /// Whether the account has a password.
    pub fn has_credential(&self, id: AccountId) -> bool {
        self.find_credential(id).is_some()
    }

    /// The oldest active account of a domain.
    pub fn oldest_account(&self, domain: &str) -> Option<Account<'_>> {
        let number = self.domains.number(domain)?;
        self.account(self.domains.slot(number).oldest.first()?)
    }

    /// Removed and purging accounts that had this address, in the order they were removed.
    pub fn former_accounts(&self, address: &str) -> Vec<Account<'_>> {
        let ids = self.former.get(address).into_iter().flatten();
        let mut accounts: Vec<_> = ids.filter_map(|id| self.account(*id)).collect();
        accounts.sort_by_key(|account| (account.removed_at_ms(), account.id()));
        accounts
    }

    /// Removed and purging accounts whose address is after this one, in the order of addresses.
    pub fn former_after(&self, after: &str) -> impl Iterator<Item = Account<'_>> + use<'_> {
        let from = (Bound::Excluded(after), Bound::Unbounded);
        let ids = self.former.range::<str, _>(from).flat_map(|(_, ids)| ids);
        ids.filter_map(|id| self.account(*id))
    }

    /// Every removed or purging account.
    pub fn all_former_accounts(&self) -> impl Iterator<Item = Account<'_>> {
        let ids = self.former.values().flatten();
        ids.filter_map(|id| self.account(*id))
    }

    pub(super) fn set_account(
        &mut self,
        id: AccountId,
        record: Option<AccountRecord>,
    ) -> Result<Option<AccountChange>, String> {
        let placed = record.as_ref().map(Placed::parse).transpose()?;
        let before = self.take_account(id);
        let after = placed.map(|placed| self.add_account(id, placed));
        Ok(Some(AccountChange {
            account: id,
            before,
            after,
        }))
    }

    fn add_account(&mut self, id: AccountId, placed: Placed<'_>) -> ShardName {
        let Placed { record, shard, .. } = placed;
        let domain = self.domains.intern(placed.domain);
        self.domains.slot_mut(domain).uses += 1;
        let number = self.shards.intern(&shard);
        let mut entry = AccountEntry {
            id,
            position: 0,
            shard: number,
            state: record.state(),
            pending: record.pending,
            epoch: Epoch(record.epoch),
            created_at_ms: record.created_at_ms,
            removed_at_ms: record.removed_at_ms,
            uid_validity: record.uid_validity,
            quota: record.quota.unwrap_or_default(),
            domain,
            move_id: placed.move_id,
            local: placed.local,
        };
        let block = self.arena.put(&entry.write());
        entry.position = self.shards.push(number, block, entry.state);
        super::entry::set_position(self.arena.get_mut(block), entry.position);
        let mut accounts = std::mem::take(&mut self.accounts);
        accounts.insert(self.hash(id), block, |block| self.id_hash(block));
        self.accounts = accounts;
        self.note_state(&entry, &record.address);
        shard
    }

    /// Takes an account out; the shard that it was on.
    fn take_account(&mut self, id: AccountId) -> Option<ShardName> {
        let block = self.find_account(id)?;
        let account = self.account_at(block);
        let (address, shard) = (account.address(), account.shard.name().clone());
        let entry = AccountEntry::read(self.arena.get(block));
        let (number, position, domain) = (entry.shard, entry.position, entry.domain);
        let (state, created) = (entry.state, entry.created_at_ms);
        self.accounts.remove(self.hash(id), block);
        self.leave_shard(number, position, state);
        self.arena.free(block);
        if state == AccountState::Active {
            let slot = self.domains.slot_mut(domain);
            slot.oldest.remove(created, id);
            if slot.oldest.used_up() {
                self.look_for_oldest(domain);
            }
        }
        self.forget_former(&address, id);
        self.domains.slot_mut(domain).uses -= 1;
        self.domains.tidy(domain);
        Some(shard)
    }

    fn note_state(&mut self, entry: &AccountEntry<'_>, address: &str) {
        match entry.state {
            AccountState::Active => {
                let slot = self.domains.slot_mut(entry.domain);
                slot.oldest.add(entry.created_at_ms, entry.id);
            }
            AccountState::Removed | AccountState::Purging => {
                let ids = self.former.entry(address.into()).or_default();
                ids.push(entry.id);
            }
            AccountState::Creating | AccountState::Unspecified => {}
        }
    }

    fn forget_former(&mut self, address: &str, id: AccountId) {
        if let Some(ids) = self.former.get_mut(address) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.former.remove(address);
            }
        }
    }

    /// Looks through all accounts of a domain.
    fn look_for_oldest(&mut self, domain: u32) {
        let mut oldest = Oldest::default();
        for block in self.domains.slot(domain).order.iter() {
            let entry = AddressEntry::read(self.arena.get(block));
            let Leads::Account(id) = entry.leads_to else {
                continue;
            };
            let account = self.account(id);
            if let Some(account) = account.filter(|it| it.state() == AccountState::Active) {
                oldest.add(account.created_at_ms(), id);
            }
        }
        self.domains.slot_mut(domain).oldest = oldest;
    }

    pub(super) fn set_credential(&mut self, id: AccountId, record: Option<CredentialRecord>) {
        let old = self.find_credential(id);
        let hash = self.hash(id);
        let block =
            record.map(|record| [&id.as_bytes()[..], &credential::pack(&record.phc)].concat());
        match (old, block) {
            (None, None) => {}
            (Some(old), None) => {
                self.credentials.remove(hash, old);
                self.arena.free(old);
            }
            (Some(old), Some(block)) => {
                let new = self.arena.replace(old, &block);
                self.credentials.replace(hash, old, new);
            }
            (None, Some(block)) => {
                let new = self.arena.put(&block);
                let mut credentials = std::mem::take(&mut self.credentials);
                credentials.insert(hash, new, |block| self.id_hash(block));
                self.credentials = credentials;
            }
        }
    }

    pub(super) fn account_at(&self, block: Handle) -> Account<'_> {
        let entry = AccountEntry::read(self.arena.get(block));
        Account {
            entry,
            shard: self.shards.by_number(entry.shard),
            domain: &self.domains.slot(entry.domain).name,
        }
    }

    fn find_account(&self, id: AccountId) -> Option<Handle> {
        let is = |block| id_of(self.arena.get(block)) == id;
        self.accounts.find(self.hash(id), is)
    }

    fn find_credential(&self, id: AccountId) -> Option<Handle> {
        let is = |block| id_of(self.arena.get(block)) == id;
        self.credentials.find(self.hash(id), is)
    }

    fn id_hash(&self, block: Handle) -> u64 {
        self.hash(id_of(self.arena.get(block)))
    }
}

/// The parts of an account's record that can be wrong.
struct Placed<'a> {
    record: &'a AccountRecord,
    shard: ShardName,
    domain: &'a str,
    local: &'a str,
    move_id: Option<MoveId>,
}

impl<'a> Placed<'a> {
    fn parse(record: &'a AccountRecord) -> Result<Self, String> {
        let (local, domain) = record.address.rsplit_once('@').ok_or("it has no address")?;
        let shard: ShardName = record.shard.parse().map_err(|error| format!("{error}"))?;
        let move_id = match &record.move_id[..] {
            [] => None,
            id => Some(MoveId::from_slice(id).map_err(|error| error.to_string())?),
        };
        Ok(Self {
            record,
            shard,
            domain,
            local,
            move_id,
        })
    }
}
