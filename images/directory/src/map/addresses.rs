//! Addresses: what each leads to, and aliases by target.

use std::cmp::Ordering;

use wire::ids::AccountId;

use crate::model::records::AddressRecord;
use crate::model::records::address_record;

use super::Map;
use super::arena::{Handle, MAX_CONTENT};
use super::codec::{Reader, push_number};
use super::entry::{AddressEntry, Leads, Targets, account_address, alias_address};

/// An address of the cluster.
pub struct Address<'a> {
    local: &'a str,
    domain: &'a str,
    /// Where it leads.
    pub leads_to: LeadsTo<'a>,
}

/// Where an address leads.
pub enum LeadsTo<'a> {
    /// To this account, whose primary address it is.
    Account(AccountId),
    /// To these canonical addresses.
    Alias(Targets<'a>),
}

impl Address<'_> {
    /// `local@domain`, canonical.
    pub fn text(&self) -> String {
        format!("{}@{}", self.local, self.domain)
    }

    /// Its domain.
    pub fn domain(&self) -> &str {
        self.domain
    }
}

impl Map {
    /// What a canonical address leads to, exactly as written.
    pub fn address(&self, canonical: &str) -> Option<LeadsTo<'_>> {
        let (domain, local) = self.split(canonical)?;
        let block = self.find_address(domain, local)?;
        Some(self.address_at(block).leads_to)
    }

    /// All addresses after `after` (empty: all), by domain, then by local part.
    pub fn addresses_after(&self, after: &str) -> impl Iterator<Item = Address<'_>> + use<'_> {
        let (local, domain) = after.rsplit_once('@').unwrap_or(("", after));
        let here = self.domains.number(domain);
        let here = here.filter(|number| self.domains.slot(*number).record.is_some());
        let behind = |block| self.order_of(block, local);
        let first = here.map(|number| self.domains.slot(number).order.after(&behind));
        let others = self.domains.numbers_from(domain);
        let others = others.filter(move |number| Some(*number) != here);
        let others = others.flat_map(|number| self.domains.slot(number).order.iter());
        let blocks = first.into_iter().flatten().chain(others);
        blocks.map(|block| self.address_at(block))
    }

    /// The aliases of which this canonical address is a target.
    pub fn aliases_to<'a>(&'a self, target: &'a str) -> impl Iterator<Item = String> + 'a {
        let names = move |link| {
            let (alias, place) = read_link(self.arena.get(link));
            self.target(alias, place) == target
        };
        let links = self.aliases_to.find_all(self.hash(target), names);
        links.map(|link| {
            let (alias, _) = read_link(self.arena.get(link));
            self.address_at(alias).text()
        })
    }

    /// Number of aliases.
    pub fn alias_count(&self) -> u64 {
        self.domains_from("").map(|domain| domain.aliases).sum()
    }

    pub(super) fn set_address(
        &mut self,
        text: &str,
        record: Option<AddressRecord>,
    ) -> Result<(), String> {
        let (local, domain) = text.rsplit_once('@').ok_or("it is no address")?;
        let record = record.map(|record| record.leads_to.ok_or("it leads nowhere"));
        let record = record.transpose()?;
        let domain = self.domains.intern(domain);
        let block = match record {
            Some(record) => Some(write(domain, local, record)?),
            None => None,
        };
        self.take_address(domain, local);
        if let Some(block) = block {
            self.add_address(domain, local, &block);
        }
        self.domains.tidy(domain);
        Ok(())
    }

    fn add_address(&mut self, domain: u32, local: &str, block: &[u8]) {
        let block = self.arena.put(block);
        let mut addresses = std::mem::take(&mut self.addresses);
        let hash = self.hash((domain, local));
        addresses.insert(hash, block, |block| self.address_hash(block));
        self.addresses = addresses;
        let mut order = std::mem::take(&mut self.domains.slot_mut(domain).order);
        order.set(block, |other| self.order_of(other, local));
        let targets = self.targets_of(block);
        let slot = self.domains.slot_mut(domain);
        slot.order = order;
        slot.uses += 1;
        match targets {
            None => slot.accounts += 1,
            Some(_) => slot.aliases += 1,
        }
        self.link_targets(block, targets.unwrap_or(0));
    }

    fn take_address(&mut self, domain: u32, local: &str) {
        let Some(block) = self.find_address(domain, local) else {
            return;
        };
        let hash = self.hash((domain, local));
        self.addresses.remove(hash, block);
        let mut order = std::mem::take(&mut self.domains.slot_mut(domain).order);
        order.remove(|other| self.order_of(other, local));
        let targets = self.targets_of(block);
        let slot = self.domains.slot_mut(domain);
        slot.order = order;
        slot.uses -= 1;
        match targets {
            None => slot.accounts -= 1,
            Some(_) => slot.aliases -= 1,
        }
        self.unlink_targets(block, targets.unwrap_or(0));
        self.arena.free(block);
    }

    /// Makes an alias found by each of its targets.
    fn link_targets(&mut self, alias: Handle, targets: u64) {
        let mut links = std::mem::take(&mut self.aliases_to);
        for place in 0..targets {
            let link = self.arena.put(&write_link(alias, place));
            links.insert(self.link_hash(link), link, |link| self.link_hash(link));
        }
        self.aliases_to = links;
    }

    fn unlink_targets(&mut self, alias: Handle, targets: u64) {
        for place in 0..targets {
            let hash = self.hash(self.target(alias, place));
            let wanted = write_link(alias, place);
            let is = |link| self.arena.get(link) == wanted;
            if let Some(link) = self.aliases_to.find(hash, is) {
                self.aliases_to.remove(hash, link);
                self.arena.free(link);
            }
        }
    }

    fn link_hash(&self, link: Handle) -> u64 {
        let (alias, place) = read_link(self.arena.get(link));
        self.hash(self.target(alias, place))
    }

    fn target(&self, alias: Handle, place: u64) -> &str {
        match self.address_at(alias).leads_to {
            LeadsTo::Alias(mut targets) => targets.nth(place as usize).unwrap_or_default(),
            LeadsTo::Account(_) => "",
        }
    }

    /// Number of its targets; none: it is no alias.
    fn targets_of(&self, block: Handle) -> Option<u64> {
        match self.address_at(block).leads_to {
            LeadsTo::Account(_) => None,
            LeadsTo::Alias(targets) => Some(targets.count() as u64),
        }
    }

    /// Splits a canonical address into the number of its domain and the local part.
    pub(super) fn split<'a>(&self, canonical: &'a str) -> Option<(u32, &'a str)> {
        let (local, domain) = canonical.rsplit_once('@')?;
        Some((self.domains.number(domain)?, local))
    }

    fn find_address(&self, domain: u32, local: &str) -> Option<Handle> {
        self.addresses.find(self.hash((domain, local)), |block| {
            let entry = AddressEntry::read(self.arena.get(block));
            entry.local == local && entry.domain == domain
        })
    }

    pub(super) fn address_at(&self, block: Handle) -> Address<'_> {
        let entry = AddressEntry::read(self.arena.get(block));
        Address {
            local: entry.local,
            domain: &self.domains.slot(entry.domain).name,
            leads_to: match entry.leads_to {
                Leads::Account(id) => LeadsTo::Account(id),
                Leads::Alias(targets) => LeadsTo::Alias(targets),
            },
        }
    }

    fn address_hash(&self, block: Handle) -> u64 {
        let entry = AddressEntry::read(self.arena.get(block));
        self.hash((entry.domain, entry.local))
    }

    fn order_of(&self, block: Handle, local: &str) -> Ordering {
        AddressEntry::read(self.arena.get(block)).local.cmp(local)
    }
}

fn write(domain: u32, local: &str, leads_to: address_record::LeadsTo) -> Result<Vec<u8>, String> {
    let block = match leads_to {
        address_record::LeadsTo::Account(id) => {
            let id = AccountId::from_slice(&id).map_err(|error| error.to_string())?;
            account_address(domain, local, id)
        }
        address_record::LeadsTo::Alias(alias) => alias_address(domain, local, &alias.targets),
    };
    if block.len() > MAX_CONTENT {
        return Err("it has too many targets".to_owned());
    }
    Ok(block)
}

/// A link: an alias's block, and the place of one of its targets.
fn write_link(alias: Handle, place: u64) -> Vec<u8> {
    let mut link = alias.0.to_le_bytes().to_vec();
    push_number(&mut link, place);
    link
}

fn read_link(link: &[u8]) -> (Handle, u64) {
    let mut reader = Reader(link);
    let alias = Handle(u32::from_le_bytes(reader.array()));
    (alias, reader.number())
}
