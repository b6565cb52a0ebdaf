//! The demo's accounts, and on which shard each is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Commanded;

/// The domain of all of them.
pub(super) const DOMAIN: &str = "example.org";

/// Addresses and passwords.
#[derive(Debug, Clone)]
pub(super) struct Population {
    people: Vec<(String, String)>,
}

impl Population {
    pub(super) fn of(count: u32) -> Self {
        let person = |n| (format!("box{n:03}@{DOMAIN}"), format!("knock-knock-{n:03}"));
        Self {
            people: (1..=count).map(person).collect(),
        }
    }

    /// Imports all accounts; their domain is there.
    pub(super) fn join(&self, site: &impl Commanded) -> Result<()> {
        let mut rows = "address,password\n".to_owned();
        for (address, password) in &self.people {
            let _written = writeln!(rows, "{address},{password}");
        }
        site.ask(&["import", "/dev/stdin"], &rows).map(drop)
    }

    /// Everyone.
    pub(super) fn people(&self) -> &[(String, String)] {
        &self.people
    }

    pub(super) fn first(&self) -> (&str, &str) {
        let (address, password) = &self.people[0];
        (address, password)
    }

    /// Where everyone is now.
    pub(super) fn homes(&self, site: &impl Commanded) -> Result<Homes> {
        homes(site)
    }
}

/// Accounts and their shards.
#[derive(Debug, Clone)]
pub(super) struct Homes {
    shards: BTreeMap<String, String>,
}

/// Asks the directory where everyone is.
pub(super) fn homes(site: &impl Commanded) -> Result<Homes> {
    let list = site.ask(&["account", "list"], "")?;
    let word = |account: &Value, name: &str| account[name].as_str().map(str::to_owned);
    let mut shards = BTreeMap::new();
    for account in list.as_array().context("a list of accounts")? {
        let (address, shard) = (word(account, "address"), word(account, "shard"));
        let (Some(address), Some(shard)) = (address, shard) else {
            bail!("no address and shard: {account}");
        };
        shards.insert(address, shard);
    }
    Ok(Homes { shards })
}

impl Homes {
    /// The account's shard.
    pub(super) fn of(&self, address: &str) -> Option<&str> {
        self.shards.get(address).map(String::as_str)
    }

    /// Every other account.
    pub(super) fn half(&self) -> Half {
        let every_other = self.shards.iter().step_by(2);
        Half {
            homes: every_other.map(|(a, s)| (a.clone(), s.clone())).collect(),
        }
    }
}

/// The other one of the two shards.
pub(super) fn other(home: &str) -> &'static str {
    match home {
        "shard-1" => "shard-2",
        _ => "shard-1",
    }
}

/// The accounts that move, with the shards they came from.
#[derive(Debug, Clone)]
pub(super) struct Half {
    homes: Vec<(String, String)>,
}

impl Half {
    pub(super) fn len(&self) -> usize {
        self.homes.len()
    }

    /// Each with the other one of the two shards.
    pub(super) fn targets(&self) -> Vec<(String, String)> {
        let target = |(address, home): &(String, String)| (address.clone(), other(home).to_owned());
        self.homes.iter().map(target).collect()
    }

    /// Each with the shard it came from.
    pub(super) fn origins(&self) -> Vec<(String, String)> {
        self.homes.clone()
    }
}
