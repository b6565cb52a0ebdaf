//! Aliases: other addresses that lead to addresses of this cluster.

use std::collections::HashSet;

use tonic::Status;
use wire::address::Canonical;
use wire::rpc::{AddAliasRequest, Alias, ListAliasesReply, ListRequest, RemoveAliasRequest};

use super::write::{Found, Plan, Request, value};
use super::{Admin, page, refuse};
use crate::map::{LeadsTo, Map};
use crate::model::Key;
use crate::model::records::{AddressRecord, AliasTargets, address_record};
use crate::resolve::{MAX_EXPANSION, find};
use crate::store::{Expect, Txn};

/// Most targets of one alias: more is a list, which is another thing.
const MAX_TARGETS: usize = 100;

/// Longest chain of aliases: people lose track long before.
const MAX_DEPTH: usize = 10;

impl Admin {
    pub(super) async fn add_alias(&self, mut message: AddAliasRequest) -> Result<Alias, Status> {
        let id = std::mem::take(&mut message.request_id);
        let request = Request::new(&id, "Admin.AddAlias", &message)?;
        let address = refuse::address("address", &message.address)?;
        let targets = targets(&message.targets)?;
        self.write(&request, || async {
            let domain = self.domain_for("address", address.domain()).await?;
            self.must_be_free(&address).await?;
            self.current().await?;
            check_targets(&self.shared.read(), &address, &targets)?;
            let record = alias_record(&targets);
            let key = address_key(&address);
            let txn = domain
                .unchanged(Txn::new())
                .when(key.clone(), Expect::Absent)
                .put(key, value(&record));
            Ok(Plan::Commit(txn, reply(&address, &targets)))
        })
        .await
    }

    /// Refuses an address that leads somewhere already.
    pub(super) async fn must_be_free(&self, address: &Canonical) -> Result<(), Status> {
        let key = Key::Address(address.to_string());
        let found: Option<Found<AddressRecord>> = self.read(key).await?;
        match found.and_then(|found| found.record.leads_to) {
            None => Ok(()),
            Some(address_record::LeadsTo::Account(_)) => {
                Err(Status::already_exists(format!("{address} is an account")))
            }
            Some(address_record::LeadsTo::Alias(alias)) => Err(Status::already_exists(format!(
                "{address} is an alias to {}",
                alias.targets.join(", ")
            ))),
        }
    }

    pub(super) async fn list_aliases(
        &self,
        message: ListRequest,
    ) -> Result<ListAliasesReply, Status> {
        self.current().await?;
        let map = self.shared.read();
        let aliases = super::addresses(&map, &message)?.filter_map(|address| {
            let text = address.text();
            match address.leads_to {
                LeadsTo::Alias(targets) => Some(Alias {
                    address: text,
                    targets: targets.map(str::to_owned).collect(),
                }),
                LeadsTo::Account(_) => None,
            }
        });
        let (aliases, more) = page(aliases, message.limit);
        Ok(ListAliasesReply { aliases, more })
    }

    pub(super) async fn show_alias(&self, address: &str) -> Result<Alias, Status> {
        let address = refuse::address("address", address)?;
        self.current().await?;
        match self.shared.read().address(address.as_str()) {
            Some(LeadsTo::Alias(targets)) => Ok(Alias {
                address: address.to_string(),
                targets: targets.map(str::to_owned).collect(),
            }),
            Some(LeadsTo::Account(_)) => Err(is_account(&address)),
            None => Err(Status::not_found(format!("there is no alias {address}"))),
        }
    }

    pub(super) async fn remove_alias(
        &self,
        mut message: RemoveAliasRequest,
    ) -> Result<Alias, Status> {
        let id = std::mem::take(&mut message.request_id);
        let request = Request::new(&id, "Admin.RemoveAlias", &message)?;
        let address = refuse::address("address", &message.address)?;
        self.write(&request, || async {
            let key = Key::Address(address.to_string());
            let found: Option<Found<AddressRecord>> = self.read(key).await?;
            let none = || Status::not_found(format!("there is no alias {address}"));
            let found = found.ok_or_else(none)?;
            let Some(address_record::LeadsTo::Alias(alias)) = &found.record.leads_to else {
                return Err(is_account(&address));
            };
            let reply = Alias {
                address: address.to_string(),
                targets: alias.targets.clone(),
            };
            let txn = found.unchanged(Txn::new()).delete(found.key.clone());
            Ok(Plan::Commit(txn, reply))
        })
        .await
    }
}

fn is_account(address: &Canonical) -> Status {
    Status::failed_precondition(format!("{address} is an account, no alias"))
}

pub(super) fn address_key(address: &Canonical) -> String {
    Key::Address(address.to_string()).to_string()
}

pub(super) fn alias_record(targets: &[Canonical]) -> AddressRecord {
    let targets = targets.iter().map(Canonical::to_string).collect();
    AddressRecord {
        created_at_ms: kit::clock::unix_ms(),
        leads_to: Some(address_record::LeadsTo::Alias(AliasTargets { targets })),
    }
}

fn reply(address: &Canonical, targets: &[Canonical]) -> Alias {
    Alias {
        address: address.to_string(),
        targets: targets.iter().map(Canonical::to_string).collect(),
    }
}

/// One to a hundred targets, each once.
fn targets(texts: &[String]) -> Result<Vec<Canonical>, Status> {
    if texts.is_empty() || texts.len() > MAX_TARGETS {
        let why = format!("write 1 to {MAX_TARGETS} addresses");
        return Err(refuse::invalid("targets", why));
    }
    let mut targets: Vec<Canonical> = Vec::new();
    for text in texts {
        let target = refuse::address("targets", text)?;
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    Ok(targets)
}

/// Targets are ours, are there, and do not lead back to the alias or too far.
fn check_targets(map: &Map, alias: &Canonical, targets: &[Canonical]) -> Result<(), Status> {
    for target in targets {
        if map.domain(target.domain()).is_none() {
            let why = format!(
                "{target} is outside this cluster's domains; aliases lead to addresses of this \
                 cluster"
            );
            return Err(refuse::invalid("targets", why));
        }
        if target != alias && find(map, target).is_none() {
            let sentence = format!("targets: {target} does not exist; add it first");
            return Err(Status::not_found(sentence));
        }
    }
    walk(map, alias, targets)
}

/// Follows all that the alias would lead to, level by level.
fn walk(map: &Map, alias: &Canonical, targets: &[Canonical]) -> Result<(), Status> {
    let mut seen = HashSet::new();
    let mut level = targets.to_vec();
    for _ in 0..MAX_DEPTH {
        let mut next = Vec::new();
        for address in level {
            if address == *alias {
                let why = format!("they lead back to {alias}");
                return Err(refuse::invalid("targets", why));
            }
            if seen.insert(address.clone()) {
                next.extend(alias_targets(map, &address));
            }
        }
        if seen.len() > MAX_EXPANSION {
            let why = format!("they lead to more than {MAX_EXPANSION} addresses");
            return Err(refuse::invalid("targets", why));
        }
        if next.is_empty() {
            return Ok(());
        }
        level = next;
    }
    let why = format!("they lead through more than {MAX_DEPTH} aliases in a row");
    Err(refuse::invalid("targets", why))
}

fn alias_targets(map: &Map, address: &Canonical) -> Vec<Canonical> {
    match find(map, address) {
        Some(LeadsTo::Alias(targets)) => targets.filter_map(|text| text.parse().ok()).collect(),
        _ => Vec::new(),
    }
}
