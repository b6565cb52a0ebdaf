//! An account as it is printed.

use serde::Serialize;
use wire::ids::AccountId;
use wire::rpc::{self, AccountState};

use crate::output::Show;
use crate::output::table::{Align, Table, facts};
use crate::output::text::{bytes, count, moment, rfc3339};

/// An account as scripts see it; JSON.md documents the fields.
#[derive(Debug, Serialize)]
pub struct AccountView {
    /// Its primary address.
    pub address: String,
    id: Option<String>,
    state: &'static str,
    /// The shard has not confirmed the state yet.
    pub pending: bool,
    /// Its home.
    pub shard: String,
    epoch: u64,
    placement: String,
    bytes: Option<u64>,
    messages: Option<u64>,
    quota_bytes: Option<u64>,
    quota_messages: Option<u64>,
    has_password: bool,
    aliases: Vec<String>,
    created_at: Option<String>,
    removed_at: Option<String>,
    #[serde(skip)]
    created: String,
    #[serde(skip)]
    removed: String,
}

impl From<rpc::Account> for AccountView {
    fn from(account: rpc::Account) -> Self {
        let state = state_name(account.state());
        let route = account.route.unwrap_or_default();
        let quota = account.quota.unwrap_or_default();
        let id = AccountId::from_slice(&route.account).ok();
        Self {
            address: account.address,
            id: id.map(|id| id.to_string()),
            state,
            pending: account.pending,
            shard: route.shard,
            epoch: route.epoch,
            placement: account.placement,
            bytes: account.bytes,
            messages: account.messages,
            quota_bytes: limit(quota.bytes),
            quota_messages: limit(quota.messages),
            has_password: account.has_password,
            aliases: account.aliases,
            created_at: rfc3339(account.created_at_ms),
            removed_at: rfc3339(account.removed_at_ms),
            created: moment(account.created_at_ms),
            removed: moment(account.removed_at_ms),
        }
    }
}

fn state_name(state: AccountState) -> &'static str {
    match state {
        AccountState::Unspecified => "unknown",
        AccountState::Creating => "creating",
        AccountState::Active => "active",
        AccountState::Removed => "removed",
        AccountState::Purging => "purging",
    }
}

fn limit(value: u64) -> Option<u64> {
    (value > 0).then_some(value)
}

impl AccountView {
    /// The state for people, with what is still to come.
    fn state(&self) -> String {
        match self.pending {
            true => format!("{}, not yet confirmed by the shard", self.state),
            false => self.state.to_owned(),
        }
    }

    fn size(&self) -> String {
        self.bytes.map_or_else(|| "?".to_owned(), bytes)
    }

    fn message_count(&self) -> String {
        let known = self.messages.map(|count| count.to_string());
        known.unwrap_or_else(|| "?".to_owned())
    }

    /// The limits, for people.
    pub fn quota(&self) -> String {
        let size = self.quota_bytes.map(bytes);
        let messages = self.quota_messages.map(|count| format!("{count} messages"));
        let limits: Vec<String> = size.into_iter().chain(messages).collect();
        match limits.is_empty() {
            true => "none".to_owned(),
            false => limits.join(", "),
        }
    }
}

impl Show for AccountView {
    fn text(&self) -> String {
        let login = match self.has_password {
            true => "with its password",
            false => "none: no password is set",
        };
        facts(&[
            ("account", self.address.clone()),
            ("id", self.id.clone().unwrap_or_default()),
            ("state", self.state()),
            ("home", self.shard.clone()),
            ("epoch", self.epoch.to_string()),
            ("why there", why_there(&self.placement)),
            ("bytes", self.size()),
            ("messages", self.message_count()),
            ("quota", self.quota()),
            ("login", login.to_owned()),
            ("aliases", self.aliases.join(", ")),
            ("created", self.created.clone()),
            ("removed", self.removed.clone()),
        ])
    }
}

/// Several accounts.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Accounts(pub Vec<AccountView>);

impl Show for Accounts {
    fn text(&self) -> String {
        let mut table = Table::new([
            ("ACCOUNT", Align::Left),
            ("STATE", Align::Left),
            ("SHARD", Align::Left),
            ("EPOCH", Align::Right),
            ("CREATED", Align::Left),
        ]);
        for account in &self.0 {
            table.row([
                account.address.clone(),
                account.state.to_owned(),
                account.shard.clone(),
                account.epoch.to_string(),
                account.created.clone(),
            ]);
        }
        table.render("No accounts yet: buzonera account add ADDRESS")
    }
}

/// Removed accounts, whose mail is still kept.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Removed(pub Vec<AccountView>);

impl Show for Removed {
    fn text(&self) -> String {
        let mut table = Table::new([
            ("ACCOUNT", Align::Left),
            ("STATE", Align::Left),
            ("SHARD", Align::Left),
            ("REMOVED", Align::Left),
        ]);
        for account in &self.0 {
            table.row([
                account.address.clone(),
                account.state(),
                account.shard.clone(),
                account.removed.clone(),
            ]);
        }
        table.render("No removed account is kept.")
    }
}

/// An account after a write: a sentence for people, the account for scripts.
pub struct Said(pub String, pub AccountView);

impl Serialize for Said {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.1.serialize(serializer)
    }
}

impl Show for Said {
    fn text(&self) -> String {
        format!("{}\n", self.0)
    }
}

/// The policy's word as a sentence; what people and moves did is one already.
fn why_there(placement: &str) -> String {
    let of = placement.strip_prefix("LeastLoaded of ");
    match of.and_then(|shards| shards.parse().ok()) {
        Some(shards) => format!(
            "least loaded of {} when it was added",
            count(shards, "shard")
        ),
        None => placement.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_an_account_is_there_is_a_sentence() {
        let shown = |placement: &str| {
            let view = AccountView::from(rpc::Account {
                placement: placement.to_owned(),
                ..Default::default()
            });
            let json = serde_json::to_value(&view).unwrap();
            assert_eq!(json["placement"], placement);
            let text = view.text();
            let line = text.lines().find(|line| line.starts_with("why there"));
            line.unwrap()["why there".len()..].trim().to_owned()
        };
        for (placement, why) in [
            (
                "LeastLoaded of 1",
                "least loaded of 1 shard when it was added",
            ),
            (
                "LeastLoaded of 12",
                "least loaded of 12 shards when it was added",
            ),
            ("LeastLoaded of many", "LeastLoaded of many"),
            ("moved from shard-1", "moved from shard-1"),
        ] {
            assert_eq!(shown(placement), why);
        }
    }

    #[test]
    fn what_the_shard_did_not_say_is_unknown_not_zero() {
        let view = AccountView::from(rpc::Account::default());
        assert!(view.text().contains("bytes      ?\n"), "{}", view.text());
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(json["bytes"], serde_json::Value::Null);
        assert_eq!(json["quota_bytes"], serde_json::Value::Null);
    }

    #[test]
    fn bytes_are_integers_and_times_rfc_3339_in_json() {
        let view = AccountView::from(rpc::Account {
            bytes: Some(1 << 40),
            created_at_ms: 1000,
            ..Default::default()
        });
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(json["bytes"], 1_u64 << 40);
        assert_eq!(json["created_at"], "1970-01-01T00:00:01Z");
    }
}
