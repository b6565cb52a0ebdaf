//! Domains: names by number, counts, and the order of their addresses.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use crate::model::records::DomainRecord;

use super::oldest::Oldest;
use super::order::Order;

/// A domain of the cluster.
#[derive(Clone, Copy)]
pub struct Domain<'a> {
    /// Its name as A-labels.
    pub name: &'a str,
    /// What the store holds of it.
    pub record: &'a DomainRecord,
    /// Addresses in it that lead to an account.
    pub accounts: u64,
    /// Aliases in it.
    pub aliases: u64,
}

impl Domain<'_> {
    /// The character that separates a user from a sub-address; none: the domain has none.
    pub fn separator(&self) -> Option<char> {
        self.record.separator.chars().next()
    }
}

/// What is known of one domain name.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) name: Box<str>,
    pub(super) record: Option<DomainRecord>,
    pub(super) accounts: u64,
    pub(super) aliases: u64,
    pub(super) order: Order,
    pub(super) oldest: Oldest,
    /// Blocks that name this slot's number.
    pub(super) uses: u64,
}

/// All domain names that a record or a block names.
#[derive(Default)]
pub(super) struct Domains {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_name: HashMap<Box<str>, u32, hashbrown::DefaultHashBuilder>,
    /// Those with a record, in order.
    names: BTreeMap<Box<str>, u32>,
    /// Those with a record, by the time they were made, in milliseconds since 1970.
    ages: BTreeSet<(i64, Box<str>)>,
}

impl Domains {
    /// Sets or removes a domain's record.
    pub(super) fn set(&mut self, name: &str, record: Option<DomainRecord>) {
        let number = self.intern(name);
        let slot = &mut self.slots[number as usize];
        if let Some(old) = &slot.record {
            self.names.remove(name);
            self.ages.remove(&(old.created_at_ms, name.into()));
        }
        if let Some(new) = &record {
            self.names.insert(name.into(), number);
            self.ages.insert((new.created_at_ms, name.into()));
        }
        slot.record = record;
        self.tidy(number);
    }

    /// The name's number, made if need be. The caller counts its use or tidies.
    pub(super) fn intern(&mut self, name: &str) -> u32 {
        if let Some(number) = self.number(name) {
            return number;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        self.slots[number as usize].name = name.into();
        self.by_name.insert(name.into(), number);
        number
    }

    /// Forgets a name that nothing names any more.
    pub(super) fn tidy(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize];
        if slot.uses == 0 && slot.record.is_none() {
            let slot = std::mem::take(slot);
            self.by_name.remove(&slot.name);
            self.free.push(number);
        }
    }

    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    pub(super) fn slot(&self, number: u32) -> &Slot {
        &self.slots[number as usize]
    }

    pub(super) fn slot_mut(&mut self, number: u32) -> &mut Slot {
        &mut self.slots[number as usize]
    }

    /// Numbers of the domains with a record, in the order of their names, from `name` on.
    pub(super) fn numbers_from(&self, name: &str) -> impl Iterator<Item = u32> + use<'_> {
        let from = (Bound::Included(name), Bound::Unbounded);
        self.names.range::<str, _>(from).map(|(_, number)| *number)
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn bytes(&self) -> usize {
        let orders: usize = self.slots.iter().map(|slot| slot.order.bytes()).sum();
        orders + self.slots.capacity() * size_of::<Slot>()
    }
}

impl super::Map {
    /// The cluster's domain of this name, written as A-labels.
    pub fn domain(&self, name: &str) -> Option<Domain<'_>> {
        self.domain_of(self.domains.number(name)?)
    }

    /// The cluster's domains from `name` on, in order.
    pub fn domains_from(&self, name: &str) -> impl Iterator<Item = Domain<'_>> + use<'_> {
        let numbers = self.domains.numbers_from(name);
        numbers.filter_map(|number| self.domain_of(number))
    }

    /// The domain that was made first: mail to `postmaster` without a domain goes there.
    pub fn first_domain(&self) -> Option<Domain<'_>> {
        let (_, name) = self.domains.ages.first()?;
        self.domain(name)
    }

    /// Number of domains.
    pub fn domain_count(&self) -> usize {
        self.domains.len()
    }

    fn domain_of(&self, number: u32) -> Option<Domain<'_>> {
        let slot = self.domains.slot(number);
        Some(Domain {
            name: &slot.name,
            record: slot.record.as_ref()?,
            accounts: slot.accounts,
            aliases: slot.aliases,
        })
    }
}
