//! What a shard holds in all.

use std::collections::BTreeMap;

use wire::ids::AccountId;

use crate::account::Account;
use crate::index::writer::{Effect, Summary};

/// What the shard holds in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Accounts it has the data of and may have to serve.
    pub accounts: u64,
    /// Prefixes and bodies of their live messages.
    pub octets: u64,
    /// Those messages.
    pub messages: u64,
}

impl Totals {
    pub(super) fn replace(&mut self, before: Summary, after: Summary) {
        let change = |total: u64, before: u64, after: u64| (total + after).saturating_sub(before);
        let held = |summary: Summary| u64::from(summary.held);
        self.accounts = change(self.accounts, held(before), held(after));
        self.octets = change(self.octets, before.usage.octets, after.usage.octets);
        self.messages = change(self.messages, before.usage.messages, after.usage.messages);
    }
}

/// Everything counted; also the accounts that are over their quota.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) totals: Totals,
    pub(crate) over: BTreeMap<AccountId, bool>,
}

impl Tally {
    /// Counts an account.
    pub(crate) fn add(&mut self, id: AccountId, account: &Account) {
        self.replace(id, Summary::default(), Summary::of(Some(account)));
    }

    /// Counts what a batch did.
    pub(crate) fn follow(&mut self, effect: &Effect) {
        self.replace(effect.account, effect.before, effect.after);
    }

    fn replace(&mut self, id: AccountId, before: Summary, after: Summary) {
        self.totals.replace(before, after);
        match after.over_quota {
            true => self.over.insert(id, true),
            false => self.over.remove(&id),
        };
    }
}
