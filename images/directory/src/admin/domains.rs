//! Domains.
//!
//! Removing one takes two transactions: it is closed first, and whatever makes something in it
//! names the domain's revision, so once it is closed its counts can only fall.

use tonic::Status;
use wire::address::Domain as Name;
use wire::rpc::{AddDomainRequest, Domain, ListDomainsReply, ListRequest, RemoveDomainRequest};

use super::write::{Found, Plan, Request, value};
use super::{Admin, page, refuse};
use crate::map;
use crate::model::Key;
use crate::model::records::DomainRecord;
use crate::store::{Expect, Txn};

/// RFC 5233 leaves the separator to the site; these are `atext` and mean nothing else.
const SEPARATORS: &str = "+-_=#&~^";

impl Admin {
    pub(super) async fn add_domain(&self, mut message: AddDomainRequest) -> Result<Domain, Status> {
        let id = std::mem::take(&mut message.request_id);
        let request = Request::new(&id, "Admin.AddDomain", &message)?;
        let name = refuse::domain("name", &message.name)?;
        let separator = separator(message.separator.as_deref())?;
        self.write(&request, || async {
            let postmaster = self.postmaster(&name, &message.postmaster).await?;
            let record = DomainRecord {
                created_at_ms: kit::clock::unix_ms(),
                postmaster,
                separator: separator.clone(),
                closing: false,
            };
            let found: Option<Found<DomainRecord>> = self.read(domain_key(&name)).await?;
            let txn = match found {
                None => Txn::new().when(domain_key(&name).to_string(), Expect::Absent),
                // Being removed, or half removed by a process that died: it is opened again.
                Some(found) if found.record.closing => found.unchanged(Txn::new()),
                Some(_) => return Err(Status::already_exists(format!("{name} is there already"))),
            };
            let reply = reply(name.as_str(), &record, 0, 0);
            let txn = txn.put(domain_key(&name).to_string(), value(&record));
            Ok(Plan::Commit(txn, reply))
        })
        .await
    }

    /// A postmaster inside the cluster: in this domain (made later) or in another one of ours.
    async fn postmaster(&self, name: &Name, text: &str) -> Result<String, Status> {
        if text.is_empty() {
            return Ok(String::new());
        }
        let address = refuse::address("postmaster", text)?;
        if address.domain() == name.as_str() {
            return Ok(address.to_string());
        }
        let key = Key::Domain(address.domain().to_owned());
        let found: Option<Found<DomainRecord>> = self.read(key).await?;
        if found.is_some_and(|found| !found.record.closing) {
            return Ok(address.to_string());
        }
        let why = format!(
            "{address} is outside this cluster's domains: write an address in {name} or in a \
             domain that `buzonera domain list` shows"
        );
        Err(refuse::invalid("postmaster", why))
    }

    pub(super) async fn list_domains(
        &self,
        message: ListRequest,
    ) -> Result<ListDomainsReply, Status> {
        self.current().await?;
        let map = self.shared.read();
        let after = message.after.as_str();
        let domains = map
            .domains_from(after)
            .filter(|domain| domain.name != after);
        let (domains, more) = page(domains.map(|domain| show(&domain)), message.limit);
        Ok(ListDomainsReply { domains, more })
    }

    pub(super) async fn show_domain(&self, name: &str) -> Result<Domain, Status> {
        let name = refuse::domain("name", name)?;
        self.current().await?;
        let map = self.shared.read();
        let domain = map.domain(name.as_str());
        domain
            .map(|domain| show(&domain))
            .ok_or_else(|| unknown(&name))
    }

    pub(super) async fn remove_domain(
        &self,
        mut message: RemoveDomainRequest,
    ) -> Result<Domain, Status> {
        let id = std::mem::take(&mut message.request_id);
        let request = Request::new(&id, "Admin.RemoveDomain", &message)?;
        let name = refuse::domain("name", &message.name)?;
        self.write(&request, || async {
            self.current().await?;
            self.must_be_empty(&name)?;
            let Some(closed) = self.close(&name).await? else {
                return Err(refuse::again("the domain is changing"));
            };
            self.current().await?;
            if let Err(refused) = self.must_be_empty(&name) {
                self.reopen(closed).await?;
                return Err(refused);
            }
            let reply = reply(name.as_str(), &closed.record, 0, 0);
            let txn = closed.unchanged(Txn::new()).delete(closed.key.clone());
            Ok(Plan::Commit(txn, reply))
        })
        .await
    }

    /// Closes the domain, unless it is closed; none: somebody else changed it.
    async fn close(&self, name: &Name) -> Result<Option<Found<DomainRecord>>, Status> {
        let found = self.open_or_closed(name).await?;
        if found.record.closing {
            return Ok(Some(found));
        }
        let record = DomainRecord {
            closing: true,
            ..found.record.clone()
        };
        let txn = found
            .unchanged(Txn::new())
            .put(found.key.clone(), value(&record));
        let revision = self.step(txn).await?;
        Ok(revision.map(|revision| Found {
            key: found.key,
            record,
            revision,
        }))
    }

    async fn reopen(&self, closed: Found<DomainRecord>) -> Result<(), Status> {
        let record = DomainRecord {
            closing: false,
            ..closed.record.clone()
        };
        let txn = closed
            .unchanged(Txn::new())
            .put(closed.key.clone(), value(&record));
        self.step(txn).await.map(drop)
    }

    fn must_be_empty(&self, name: &Name) -> Result<(), Status> {
        let map = self.shared.read();
        let Some(domain) = map.domain(name.as_str()) else {
            return Err(unknown(name));
        };
        if domain.accounts + domain.aliases == 0 {
            return Ok(());
        }
        let has = refuse::counted(&[
            (domain.accounts, "account", "accounts"),
            (domain.aliases, "alias", "aliases"),
        ]);
        Err(Status::failed_precondition(format!(
            "{name} has {has}: remove what there is first"
        )))
    }

    async fn open_or_closed(&self, name: &Name) -> Result<Found<DomainRecord>, Status> {
        let found = self.read(domain_key(name)).await?;
        found.ok_or_else(|| unknown(name))
    }

    /// The domain in which an account or alias is to be made: the transaction names its revision.
    pub(super) async fn domain_for(
        &self,
        field: &str,
        domain: &str,
    ) -> Result<Found<DomainRecord>, Status> {
        let key = Key::Domain(domain.to_owned());
        match self.read::<DomainRecord>(key).await? {
            Some(found) if !found.record.closing => Ok(found),
            Some(_) => Err(Status::failed_precondition(format!(
                "{field}: {domain} is being removed; `buzonera domain add {domain}` keeps it"
            ))),
            None => Err(Status::not_found(format!(
                "{field}: {domain} is not a domain of this cluster; add it with `buzonera domain \
                 add {domain}`"
            ))),
        }
    }
}

fn domain_key(name: &Name) -> Key {
    Key::Domain(name.as_str().to_owned())
}

fn unknown(name: &Name) -> Status {
    Status::not_found(format!("{name} is not a domain of this cluster"))
}

fn separator(text: Option<&str>) -> Result<String, Status> {
    let text = text.unwrap_or("+");
    if text.len() <= 1 && text.chars().all(|c| SEPARATORS.contains(c)) {
        return Ok(text.to_owned());
    }
    let why = format!("write one of {SEPARATORS}, or nothing for no sub-addresses");
    Err(refuse::invalid("separator", why))
}

fn show(domain: &map::Domain<'_>) -> Domain {
    reply(domain.name, domain.record, domain.accounts, domain.aliases)
}

fn reply(name: &str, record: &DomainRecord, accounts: u64, aliases: u64) -> Domain {
    Domain {
        name: name.to_owned(),
        postmaster: record.postmaster.clone(),
        separator: record.separator.clone(),
        accounts,
        aliases,
        created_at_ms: record.created_at_ms,
    }
}
