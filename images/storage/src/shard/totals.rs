//! What a shard holds in all.

use std::collections::BTreeMap;

use wire::ids::AccountId;

use crate::index::writer::Summary;
use crate::index::{Index, IndexError};

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

/// Counts everything; also the accounts that are over their quota.
pub(super) fn count(index: &Index) -> Result<(Totals, BTreeMap<AccountId, bool>), IndexError> {
    let mut totals = Totals::default();
    let mut over = BTreeMap::new();
    for account in index.accounts() {
        let (id, account) = account?;
        let summary = Summary::of(Some(&account));
        totals.replace(Summary::default(), summary);
        if summary.over_quota {
            over.insert(id, true);
        }
    }
    Ok((totals, over))
}
