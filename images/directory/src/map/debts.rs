//! What shards owe: by shard, and by account.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wire::ids::{AccountId, ShardName};
use wire::rpc::ShardState;

use super::{AccountChange, Map};
use crate::model::records::DebtRecord;

/// All debts.
#[derive(Default)]
pub(super) struct Debts {
    by_shard: BTreeMap<ShardName, BTreeMap<AccountId, DebtRecord>>,
    debtors: HashMap<AccountId, BTreeSet<ShardName>>,
}

impl Debts {
    fn set(&mut self, shard: &ShardName, account: AccountId, record: Option<DebtRecord>) {
        match record {
            Some(record) => {
                let debts = self.by_shard.entry(shard.clone()).or_default();
                debts.insert(account, record);
                let debtors = self.debtors.entry(account).or_default();
                debtors.insert(shard.clone());
            }
            None => {
                if let Some(debts) = self.by_shard.get_mut(shard) {
                    debts.remove(&account);
                }
                if let Some(debtors) = self.debtors.get_mut(&account) {
                    debtors.remove(shard);
                    if debtors.is_empty() {
                        self.debtors.remove(&account);
                    }
                }
            }
        }
    }
}

impl Map {
    /// What a shard owes.
    pub fn debts_of(&self, shard: &ShardName) -> impl Iterator<Item = (AccountId, &DebtRecord)> {
        let debts = self.debts.by_shard.get(shard).into_iter().flatten();
        debts.map(|(account, record)| (*account, record))
    }

    /// What a shard owes of an account.
    pub fn debt(&self, shard: &ShardName, account: AccountId) -> Option<&DebtRecord> {
        self.debts.by_shard.get(shard)?.get(&account)
    }

    /// Every debt of every shard.
    pub fn all_debts(&self) -> impl Iterator<Item = (&ShardName, AccountId, &DebtRecord)> {
        let shards = self.debts.by_shard.iter();
        shards.flat_map(|(shard, debts)| debts.iter().map(move |(id, debt)| (shard, *id, debt)))
    }

    /// The shards that keep what they have of an account until its own shard has said that it has
    /// the account. A lost shard keeps nothing.
    pub fn keepers(&self, account: AccountId) -> impl Iterator<Item = &ShardName> {
        let debtors = self.debts.debtors.get(&account).into_iter().flatten();
        debtors.filter(move |shard| {
            let debt = self.debt(shard, account);
            debt.is_some_and(|debt| !debt.due) && !self.is_lost(shard)
        })
    }

    /// How much a shard owes that can be paid: what waits for an account on a lost shard stays for
    /// whoever looks for its mail.
    pub fn payable_debts(&self, shard: &ShardName) -> u64 {
        let waits = |account| {
            let at = self.account(account);
            at.is_some_and(|account| account.shard().state() == Some(ShardState::Lost))
        };
        let debts = self.debts_of(shard);
        debts.filter(|(id, debt)| debt.due || !waits(*id)).count() as u64
    }

    /// Whether an administrator has declared a shard lost.
    pub fn is_lost(&self, shard: &ShardName) -> bool {
        self.shard(shard)
            .is_some_and(|shard| shard.state() == Some(ShardState::Lost))
    }

    /// A debt is news to the shard that owes, and to the one that has the account.
    pub(super) fn set_debt(
        &mut self,
        shard: &ShardName,
        account: AccountId,
        record: Option<DebtRecord>,
    ) -> Option<AccountChange> {
        let is_news = record.is_some();
        self.debts.set(shard, account, record);
        let owner = self.account(account);
        is_news.then(|| AccountChange {
            account,
            before: Some(shard.clone()),
            after: owner.map(|owner| owner.shard().name().clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::model::Key;

    fn put(map: &mut Map, shard: &str, due: bool) -> Option<AccountChange> {
        let key = Key::Debt(shard.parse().unwrap(), AccountId::from_bytes([1; 16]));
        let record = DebtRecord {
            due,
            ..DebtRecord::default()
        };
        map.apply(&key.to_string(), Some(&record.encode_to_vec()))
            .unwrap()
    }

    fn keepers(map: &Map) -> Vec<&str> {
        let keepers = map.keepers(AccountId::from_bytes([1; 16]));
        keepers.map(ShardName::as_str).collect()
    }

    #[test]
    fn what_is_not_due_is_kept_and_what_is_gone_is_forgotten() {
        let mut map = Map::default();
        let change = put(&mut map, "a", false).unwrap();
        assert_eq!(change.before, Some("a".parse().unwrap()));
        put(&mut map, "b", false);
        assert_eq!(keepers(&map), ["a", "b"]);
        put(&mut map, "a", true);
        assert_eq!(keepers(&map), ["b"]);
        for shard in ["a", "b"] {
            let key = Key::Debt(shard.parse().unwrap(), AccountId::from_bytes([1; 16]));
            assert_eq!(map.apply(&key.to_string(), None), Ok(None));
        }
        assert_eq!(map.all_debts().count(), 0);
        assert!(map.debts.debtors.is_empty());
    }
}
