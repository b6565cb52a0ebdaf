//! Accounts, as administrators see them.

use tonic::Status;
use wire::address::Canonical;
use wire::ids::{AccountId, ShardName};
use wire::rpc::{Account, AccountUsageRequest, ListAccountsReply, ListRequest, Route};

use super::accounts::{is_alias, unknown};
use super::{Admin, page, refuse};
use crate::map::{LeadsTo, Map};
use crate::model::Key;
use crate::model::records::AccountRecord;
use crate::store::MAX_OPERATIONS;

impl Admin {
    pub(super) async fn list_accounts(
        &self,
        message: ListRequest,
    ) -> Result<ListAccountsReply, Status> {
        self.current().await?;
        let (ids, more) = self.listed(&message)?;
        let mut accounts = Vec::with_capacity(ids.len());
        for ids in ids.chunks(MAX_OPERATIONS) {
            let keys = ids.iter().map(|id| Key::Account(*id)).collect();
            let found = self.read_all::<AccountRecord>(keys).await?;
            for (id, found) in ids.iter().zip(found) {
                accounts.extend(found.map(|found| self.described(*id, &found.record)));
            }
        }
        Ok(ListAccountsReply { accounts, more })
    }

    fn listed(&self, message: &ListRequest) -> Result<(Vec<AccountId>, bool), Status> {
        let map = self.shared.read();
        if message.filter == "removed" {
            let former = map.former_after(&message.after);
            return Ok(page(former.map(|account| account.id()), message.limit));
        }
        let ids = super::addresses(&map, message)?.filter_map(|address| match address.leads_to {
            LeadsTo::Account(id) => Some(id),
            LeadsTo::Alias(_) => None,
        });
        Ok(page(ids, message.limit))
    }

    pub(super) async fn show_account(&self, address: &str) -> Result<Account, Status> {
        let address = refuse::address("address", address)?;
        self.current().await?;
        let id = self.account_at(&address)?;
        let found = self.read(Key::Account(id)).await?;
        let found = found.ok_or_else(|| unknown(&address))?;
        let account = self.described(id, &found.record);
        Ok(self.with_usage(account).await)
    }

    /// The account of an address; one that was removed if there is no other.
    fn account_at(&self, address: &Canonical) -> Result<AccountId, Status> {
        let map = self.shared.read();
        match map.address(address.as_str()) {
            Some(LeadsTo::Account(id)) => Ok(id),
            Some(LeadsTo::Alias(_)) => Err(is_alias(address)),
            None => {
                let former = map.former_accounts(address.as_str());
                let last = former.last().map(crate::map::Account::id);
                last.ok_or_else(|| unknown(address))
            }
        }
    }

    /// Asks the shard; without its answer bytes and messages stay unset.
    async fn with_usage(&self, account: Account) -> Account {
        let usage = tokio::time::timeout(self.config.usage_wait, self.usage(&account)).await;
        match usage.ok().flatten() {
            Some((bytes, messages)) => Account {
                bytes: Some(bytes),
                messages: Some(messages),
                ..account
            },
            None => account,
        }
    }

    async fn usage(&self, account: &Account) -> Option<(u64, u64)> {
        let route = account.route.as_ref()?;
        let shard: ShardName = route.shard.parse().ok()?;
        let channel = self.channels.get(&shard, &route.rpc_endpoint).ok()?;
        let mut client = kit::services::shard_client::ShardClient::new(channel);
        let request = AccountUsageRequest {
            accounts: vec![route.account.clone()],
        };
        let reply = client.account_usage(request).await.ok()?.into_inner();
        let usage = reply.usages.first().filter(|usage| usage.found)?;
        Some((usage.bytes, usage.messages))
    }

    /// An account as administrators see it.
    pub(super) fn described(&self, id: AccountId, record: &AccountRecord) -> Account {
        let map = self.shared.read();
        let has_password = map.has_credential(id);
        describe(&map, id, record, has_password)
    }
}

pub(super) fn describe(
    map: &Map,
    id: AccountId,
    record: &AccountRecord,
    has_password: bool,
) -> Account {
    let shard = record.shard.parse().ok();
    let shard = shard.and_then(|name: ShardName| map.shard(&name)?.record());
    let route = Route {
        account: id.to_field(),
        shard: record.shard.clone(),
        epoch: record.epoch,
        rpc_endpoint: shard.map_or_else(String::new, |shard| shard.rpc_endpoint.clone()),
        pop3_endpoint: shard.map_or_else(String::new, |shard| shard.pop3_endpoint.clone()),
    };
    let mut aliases: Vec<_> = map.aliases_to(&record.address).collect();
    aliases.sort();
    Account {
        address: record.address.clone(),
        route: Some(route),
        state: record.state,
        quota: record.quota,
        created_at_ms: record.created_at_ms,
        removed_at_ms: record.removed_at_ms,
        placement: record.placement.clone(),
        pending: record.pending,
        bytes: None,
        messages: None,
        aliases,
        has_password,
    }
}
