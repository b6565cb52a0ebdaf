//! What an address leads to: pure, from the map alone.
//!
//! An address or alias exactly as written comes first, then the address without its sub-address,
//! then (for postmaster@ and abuse@) the domain's postmaster. Aliases are followed, each address
//! and each account once.

mod answer;

use std::collections::HashSet;

use wire::address::{Address, Canonical};
use wire::answer::NobodyKnows;
use wire::ids::{AccountId, Epoch};
use wire::rpc::{AccountState, No, Recipient, Route, ShardState};

use crate::map::{self, LeadsTo, Map};

pub(crate) use answer::{MAX_QUERIES, answer};

/// Local parts that every domain has (RFC 5321 section 4.5.1, RFC 2142 section 4).
pub const ROLES: [&str; 2] = ["postmaster", "abuse"];

/// Most addresses that one address may lead to, by all its aliases together; also checked when an
/// alias is written.
pub const MAX_EXPANSION: usize = 1000;

/// What the map says. Only [`Verdict::Yes`] may be said without a proof that the map is current.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// These accounts, each once.
    Yes(Vec<Recipient>),
    /// These accounts, each once; others that it leads to are not there, as far as this map knows.
    Partly(Vec<Recipient>),
    /// Nobody, as far as this map knows.
    No(No),
    /// This map is behind what the asker knows.
    Behind,
    /// As far as this map knows, no replica can say.
    NobodyKnows(NobodyKnows),
}

/// What an address as received leads to.
pub fn address(map: &Map, text: &str) -> Verdict {
    let Ok(address) = text.parse::<Address>() else {
        return Verdict::No(No::Foreign);
    };
    if map.domain(address.domain().as_str()).is_none() {
        return Verdict::No(No::Foreign);
    }
    match Canonical::new(&address) {
        Ok(canonical) => canonical_address(map, &canonical),
        Err(_) => Verdict::No(No::Unknown),
    }
}

/// What a canonical address in one of our domains leads to.
fn canonical_address(map: &Map, canonical: &Canonical) -> Verdict {
    // Most addresses lead to one account: no bookkeeping for those.
    if let Some(LeadsTo::Account(id)) = map.address(canonical.as_str()) {
        return single(map, id);
    }
    let mut expansion = Expansion::default();
    expansion.follow(map, canonical);
    expansion.verdict()
}

fn single(map: &Map, id: AccountId) -> Verdict {
    match account(map, id, Epoch(0)) {
        Verdict::No(_) => Verdict::No(No::Unknown),
        verdict => verdict,
    }
}

/// Where an account is, for one who has seen `at_least` as its epoch.
pub fn account(map: &Map, id: AccountId, at_least: Epoch) -> Verdict {
    let Some(account) = map.account(id) else {
        return Verdict::No(No::Unknown);
    };
    if account.epoch() < at_least {
        return Verdict::Behind;
    }
    match account.state() {
        AccountState::Active if is_lost(&account) => Verdict::NobodyKnows(NobodyKnows::Lost),
        AccountState::Active => Verdict::Yes(vec![recipient(map, &account)]),
        AccountState::Removed | AccountState::Purging => Verdict::No(No::Removed),
        AccountState::Creating | AccountState::Unspecified => {
            Verdict::NobodyKnows(NobodyKnows::Creating)
        }
    }
}

/// Where mail to `postmaster` without a domain goes (RFC 5321 section 4.5.1).
pub fn postmaster(map: &Map) -> Verdict {
    match map.first_domain() {
        Some(domain) => address(map, &format!("{}@{}", ROLES[0], domain.name)),
        None => Verdict::NobodyKnows(NobodyKnows::Postmaster),
    }
}

/// The account whose primary address this is, exactly.
pub fn primary(map: &Map, text: &str) -> Option<AccountId> {
    let canonical: Canonical = text.parse().ok()?;
    match map.address(canonical.as_str())? {
        LeadsTo::Account(id) => Some(id),
        LeadsTo::Alias(_) => None,
    }
}

/// How an account is named to those who route to it.
pub(crate) fn route(account: &map::Account<'_>) -> Route {
    let record = account.shard().record();
    Route {
        account: account.id().to_field(),
        shard: account.shard().name().to_string(),
        epoch: account.epoch().0,
        rpc_endpoint: record.map_or_else(String::new, |record| record.rpc_endpoint.clone()),
        pop3_endpoint: record.map_or_else(String::new, |record| record.pop3_endpoint.clone()),
    }
}

fn recipient(map: &Map, account: &map::Account<'_>) -> Recipient {
    Recipient {
        route: Some(route(account)),
        address: account.address(),
        over_quota: map.is_over_quota(account.id()),
    }
}

/// Whether the account's shard was declared lost: then nobody knows where its mail is.
pub(crate) fn is_lost(account: &map::Account<'_>) -> bool {
    account.shard().state() == Some(ShardState::Lost)
}

/// An address on its way to accounts.
#[derive(Default)]
struct Expansion {
    recipients: Vec<Recipient>,
    accounts: HashSet<AccountId>,
    seen: HashSet<String>,
    nobody_knows: Option<NobodyKnows>,
    /// An address or account that it leads to is not there.
    missing: bool,
    /// A role's address is among them: it always leads to somebody, sooner or later.
    role: bool,
}

impl Expansion {
    /// Follows all that an address leads to. A loop ends where it begins.
    fn follow(&mut self, map: &Map, first: &Canonical) {
        let mut waiting = vec![first.clone()];
        while let Some(next) = waiting.pop() {
            if self.seen.len() >= MAX_EXPANSION {
                self.nobody_knows = Some(NobodyKnows::TooWide);
                return;
            }
            if self.seen.insert(next.to_string()) {
                self.step(map, &next, &mut waiting);
            }
        }
    }

    fn step(&mut self, map: &Map, address: &Canonical, waiting: &mut Vec<Canonical>) {
        match find(map, address) {
            Some(LeadsTo::Account(id)) => self.add(map, id),
            Some(LeadsTo::Alias(targets)) => {
                waiting.extend(targets.filter_map(|target| target.parse().ok()));
            }
            None => self.role(map, address, waiting),
        }
    }

    /// postmaster@ and abuse@ lead to the domain's postmaster, by default its first account.
    fn role(&mut self, map: &Map, address: &Canonical, waiting: &mut Vec<Canonical>) {
        let Some(domain) = map.domain(address.domain()) else {
            self.missing = true;
            return;
        };
        let base = domain
            .separator()
            .and_then(|separator| address.without_sub_address(separator));
        let local = base.as_ref().unwrap_or(address).local_part();
        if !ROLES.contains(&local) {
            self.missing = true;
            return;
        }
        self.role = true;
        let named = domain.record.postmaster.parse::<Canonical>().ok();
        match named.filter(|named| !self.seen.contains(named.as_str())) {
            Some(named) => waiting.push(named),
            None => match map.oldest_account(domain.name) {
                Some(account) => self.add(map, account.id()),
                None => self.nobody_knows = Some(NobodyKnows::Postmaster),
            },
        }
    }

    fn add(&mut self, map: &Map, id: AccountId) {
        let Some(account) = map.account(id) else {
            self.missing = true;
            return;
        };
        match account.state() {
            AccountState::Active if is_lost(&account) => {
                self.nobody_knows = Some(NobodyKnows::Lost);
            }
            AccountState::Active => {
                if self.accounts.insert(id) {
                    self.recipients.push(recipient(map, &account));
                }
            }
            AccountState::Creating | AccountState::Unspecified => {
                self.nobody_knows = Some(NobodyKnows::Creating);
            }
            AccountState::Removed | AccountState::Purging => self.missing = true,
        }
    }

    /// A target that cannot be told yet holds back the others: accepted, it would get nothing.
    fn verdict(self) -> Verdict {
        match self.nobody_knows {
            Some(why) => Verdict::NobodyKnows(why),
            None if self.recipients.is_empty() && self.role => {
                Verdict::NobodyKnows(NobodyKnows::Postmaster)
            }
            None if self.recipients.is_empty() => Verdict::No(No::Unknown),
            None if self.missing => Verdict::Partly(self.recipients),
            None => Verdict::Yes(self.recipients),
        }
    }
}

/// An address or alias exactly as written, else without its sub-address.
pub(crate) fn find<'a>(map: &'a Map, address: &Canonical) -> Option<LeadsTo<'a>> {
    map.address(address.as_str()).or_else(|| {
        let separator = map.domain(address.domain())?.separator()?;
        map.address(address.without_sub_address(separator)?.as_str())
    })
}

#[cfg(test)]
mod tests;
