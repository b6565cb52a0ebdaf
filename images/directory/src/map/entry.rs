//! How addresses, accounts and credentials lie in their blocks.

use wire::ids::{AccountId, Epoch, MoveId};
use wire::rpc::{AccountState, Quota};

use super::codec::{Reader, push_number, push_text};

/// An address: where it leads.
pub(super) struct AddressEntry<'a> {
    /// Number of its domain.
    pub(super) domain: u32,
    pub(super) local: &'a str,
    pub(super) leads_to: Leads<'a>,
}

/// Where an address leads.
pub(super) enum Leads<'a> {
    Account(AccountId),
    Alias(Targets<'a>),
}

/// The canonical addresses that an alias leads to.
#[derive(Clone, Copy)]
pub struct Targets<'a>(Reader<'a>);

impl<'a> Iterator for Targets<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        (!self.0.is_empty()).then(|| self.0.text())
    }
}

const TAG_ACCOUNT: u64 = 0;
const TAG_ALIAS: u64 = 1;

/// Writes the block of an address that leads to an account.
pub(super) fn account_address(domain: u32, local: &str, account: AccountId) -> Vec<u8> {
    let mut block = address_head(TAG_ACCOUNT, domain, local);
    block.extend_from_slice(account.as_bytes());
    block
}

/// Writes the block of an alias.
pub(super) fn alias_address(domain: u32, local: &str, targets: &[String]) -> Vec<u8> {
    let mut block = address_head(TAG_ALIAS, domain, local);
    for target in targets {
        push_text(&mut block, target);
    }
    block
}

fn address_head(tag: u64, domain: u32, local: &str) -> Vec<u8> {
    let mut block = Vec::with_capacity(local.len() + 24);
    push_number(&mut block, u64::from(domain) << 1 | tag);
    push_text(&mut block, local);
    block
}

impl<'a> AddressEntry<'a> {
    pub(super) fn read(block: &'a [u8]) -> Self {
        let mut reader = Reader(block);
        let head = reader.number();
        let local = reader.text();
        let leads_to = if head & 1 == TAG_ALIAS {
            Leads::Alias(Targets(reader))
        } else {
            Leads::Account(AccountId::from_bytes(reader.array()))
        };
        Self {
            domain: (head >> 1) as u32,
            local,
            leads_to,
        }
    }
}

/// An account, by the numbers of its shard and domain.
#[derive(Clone, Copy)]
pub(super) struct AccountEntry<'a> {
    pub(super) id: AccountId,
    /// Place in its shard's list.
    pub(super) position: u32,
    pub(super) shard: u16,
    pub(super) state: AccountState,
    pub(super) pending: bool,
    pub(super) epoch: Epoch,
    pub(super) created_at_ms: i64,
    pub(super) removed_at_ms: i64,
    pub(super) uid_validity: u64,
    pub(super) quota: Quota,
    pub(super) domain: u32,
    pub(super) move_id: Option<MoveId>,
    pub(super) local: &'a str,
}

const PENDING: u64 = 1 << 3;
const MOVING: u64 = 1 << 4;
const POSITION: std::ops::Range<usize> = 16..20;

impl<'a> AccountEntry<'a> {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut block = Vec::with_capacity(96);
        block.extend_from_slice(self.id.as_bytes());
        block.extend_from_slice(&self.position.to_le_bytes());
        let pending = if self.pending { PENDING } else { 0 };
        let moving = if self.move_id.is_some() { MOVING } else { 0 };
        push_number(&mut block, self.state as u64 | pending | moving);
        push_number(&mut block, u64::from(self.shard));
        push_number(&mut block, self.epoch.0);
        push_number(&mut block, self.created_at_ms.cast_unsigned());
        push_number(&mut block, self.removed_at_ms.cast_unsigned());
        push_number(&mut block, self.uid_validity);
        push_number(&mut block, self.quota.bytes);
        push_number(&mut block, self.quota.messages);
        push_number(&mut block, u64::from(self.domain));
        if let Some(id) = self.move_id {
            block.extend_from_slice(id.as_bytes());
        }
        block.extend_from_slice(self.local.as_bytes());
        block
    }

    pub(super) fn read(block: &'a [u8]) -> Self {
        let mut reader = Reader(block);
        let id = AccountId::from_bytes(reader.array());
        let position = u32::from_le_bytes(reader.array());
        let flags = reader.number();
        let mut entry = Self {
            id,
            position,
            state: AccountState::try_from((flags & 7) as i32).unwrap_or_default(),
            pending: flags & PENDING != 0,
            shard: reader.number() as u16,
            epoch: Epoch(reader.number()),
            created_at_ms: reader.number().cast_signed(),
            removed_at_ms: reader.number().cast_signed(),
            uid_validity: reader.number(),
            quota: Quota {
                bytes: reader.number(),
                messages: reader.number(),
            },
            domain: reader.number() as u32,
            move_id: None,
            local: "",
        };
        if flags & MOVING != 0 {
            entry.move_id = Some(MoveId::from_bytes(reader.array()));
        }
        entry.local = std::str::from_utf8(reader.0).unwrap_or_default();
        entry
    }
}

/// The account's or credential's id, without reading the rest.
pub(super) fn id_of(block: &[u8]) -> AccountId {
    AccountId::from_bytes(Reader(block).array())
}

/// Changes an account's place in its shard's list.
pub(super) fn set_position(block: &mut [u8], position: u32) {
    block[POSITION].copy_from_slice(&position.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_read_as_written() {
        for move_id in [None, Some(MoveId::random())] {
            let entry = AccountEntry {
                id: AccountId::random(),
                position: 7,
                shard: 300,
                state: AccountState::Purging,
                pending: true,
                epoch: Epoch(9),
                created_at_ms: 1_800_000_000_000,
                removed_at_ms: 0,
                uid_validity: 1_900_000_000,
                quota: Quota {
                    bytes: 5 << 30,
                    messages: 1000,
                },
                domain: 70_000,
                move_id,
                local: "ana",
            };
            let mut block = entry.write();
            set_position(&mut block, 8);
            let read = AccountEntry::read(&block);
            assert_eq!(read.position, 8);
            assert_eq!(read.write(), block);
            assert_eq!(
                (read.id, read.move_id, read.local),
                (entry.id, move_id, "ana")
            );
            assert_eq!(
                (read.epoch, read.quota, read.pending, read.uid_validity),
                (entry.epoch, entry.quota, true, entry.uid_validity)
            );
        }
    }

    #[test]
    fn addresses_read_as_written() {
        let targets = ["a@b.c".to_owned(), "d@e.f".to_owned()];
        let block = alias_address(3, "all", &targets);
        let entry = AddressEntry::read(&block);
        assert_eq!((entry.domain, entry.local), (3, "all"));
        let Leads::Alias(read) = entry.leads_to else {
            panic!("an alias");
        };
        assert!(read.eq(targets.iter().map(String::as_str)));
        let id = AccountId::random();
        let block = account_address(0, "ana", id);
        let entry = AddressEntry::read(&block);
        assert!(matches!(entry.leads_to, Leads::Account(account) if account == id));
    }
}
