//! `buzonera domain add|list|show|remove`.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use serde::Serialize;
use wire::address::{AddressError, Domain};
use wire::rpc;

use crate::client::{ask, request_id};
use crate::commands::dns::{self, Record};
use crate::commands::pages::{self, Page};
use crate::commands::session::Session;
use crate::failure::Failure;
use crate::output::Show;
use crate::output::table::{Align, Table, facts};
use crate::output::text::{moment, rfc3339};
use crate::reach;

/// The domains that mail is received for.
#[derive(Debug, Subcommand)]
pub enum DomainCommand {
    /// Receive mail for a domain, and print the DNS records to create.
    Add(AddArgs),
    /// Every domain.
    List,
    /// One domain, and its DNS records.
    Show(NameArgs),
    /// Stop receiving for a domain that has no accounts and no aliases.
    Remove {
        /// The domain.
        name: String,
    },
}

/// A new domain.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// The domain, and its host.
    #[command(flatten)]
    pub name: NameArgs,
    /// Where postmaster@ and abuse@ lead; default: the domain's first account.
    #[arg(long, value_name = "ADDRESS")]
    pub postmaster: Option<String>,
    /// What separates a sub-address, as in ana+lists@; empty for none. Default: +
    #[arg(long, value_name = "CHARACTER")]
    pub separator: Option<String>,
}

/// A domain and the host that serves it.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// The domain.
    pub name: String,
    /// The mail server's name in the DNS; default: as told to `buzonera local`, or mail.NAME
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
}

impl NameArgs {
    /// The server's name with A-labels, as a zone file has it.
    fn host(&self, domain: &str, session: &Session) -> Result<String, Failure> {
        let known = || reach::hostname(&session.reach);
        let host = self.host.clone().or_else(known);
        let host = host.unwrap_or_else(|| format!("mail.{domain}"));
        let wrong = |text: String| Failure::Usage(format!("--host: {text}."));
        let host: Domain = host
            .parse()
            .map_err(|error: AddressError| wrong(error.to_string()))?;
        match host.is_literal() || host.as_str().parse::<IpAddr>().is_ok() {
            true => Err(wrong(
                "an MX record takes a name, not an address".to_owned(),
            )),
            false => Ok(host.as_str().to_owned()),
        }
    }
}

/// Runs the command.
pub async fn run(command: DomainCommand, session: &mut Session) -> Result<(), Failure> {
    match command {
        DomainCommand::Add(args) => add(args, session).await,
        DomainCommand::List => list(session).await,
        DomainCommand::Show(args) => show(args, session).await,
        DomainCommand::Remove { name } => remove(name, session).await,
    }
}

async fn add(args: AddArgs, session: &mut Session) -> Result<(), Failure> {
    let request = rpc::AddDomainRequest {
        request_id: request_id(),
        name: args.name.name.clone(),
        postmaster: args.postmaster.unwrap_or_default(),
        separator: args.separator,
    };
    let admin = session.admin()?;
    if args.name.host.is_some() {
        args.name.host("", session)?;
    }
    let domain = ask!(admin.add_domain(request))?;
    let host = args.name.host(&domain.name, session)?;
    let said = format!("{} is a domain of this cluster.", domain.name);
    session.output.show(&with_records(said, domain, &host))
}

async fn list(session: &mut Session) -> Result<(), Failure> {
    let admin = session.admin()?;
    let name = |domain: &rpc::Domain| domain.name.clone();
    let domains = pages::all("", name, |request| async {
        let reply = ask!(admin.list_domains(request))?;
        Ok(Page {
            items: reply.domains,
            more: reply.more,
        })
    });
    let domains = domains.await?.into_iter().map(DomainView::from).collect();
    session.output.show(&Domains(domains))
}

async fn show(args: NameArgs, session: &mut Session) -> Result<(), Failure> {
    let request = rpc::DomainName {
        name: args.name.clone(),
    };
    let admin = session.admin()?;
    let domain = ask!(admin.show_domain(request))?;
    let host = args.host(&domain.name, session)?;
    session
        .output
        .show(&with_records(String::new(), domain, &host))
}

async fn remove(name: String, session: &mut Session) -> Result<(), Failure> {
    let request = rpc::RemoveDomainRequest {
        request_id: request_id(),
        name,
    };
    let admin = session.admin()?;
    let domain = ask!(admin.remove_domain(request))?;
    session.output.show(&Removed(DomainView::from(domain)))
}

/// A domain as scripts see it.
#[derive(Debug, Serialize)]
struct DomainView {
    name: String,
    postmaster: Option<String>,
    separator: String,
    accounts: u64,
    aliases: u64,
    created_at: Option<String>,
    #[serde(skip)]
    created: String,
}

impl From<rpc::Domain> for DomainView {
    fn from(domain: rpc::Domain) -> Self {
        Self {
            name: domain.name,
            postmaster: Some(domain.postmaster).filter(|address| !address.is_empty()),
            separator: domain.separator,
            accounts: domain.accounts,
            aliases: domain.aliases,
            created_at: rfc3339(domain.created_at_ms),
            created: moment(domain.created_at_ms),
        }
    }
}

impl DomainView {
    fn postmaster(&self) -> String {
        self.postmaster
            .clone()
            .unwrap_or_else(|| "the first account".to_owned())
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Domains(Vec<DomainView>);

impl Show for Domains {
    fn text(&self) -> String {
        let mut table = Table::new([
            ("DOMAIN", Align::Left),
            ("ACCOUNTS", Align::Right),
            ("ALIASES", Align::Right),
            ("POSTMASTER", Align::Left),
            ("CREATED", Align::Left),
        ]);
        for domain in &self.0 {
            table.row([
                domain.name.clone(),
                domain.accounts.to_string(),
                domain.aliases.to_string(),
                domain.postmaster(),
                domain.created.clone(),
            ]);
        }
        table.render("No domains yet: buzonera domain add NAME")
    }
}

#[derive(Serialize)]
struct WithRecords {
    #[serde(skip)]
    said: String,
    #[serde(flatten)]
    domain: DomainView,
    dns: Vec<Record>,
}

fn with_records(said: String, domain: rpc::Domain, host: &str) -> WithRecords {
    let dns = dns::records(&domain.name, host);
    WithRecords {
        said,
        domain: domain.into(),
        dns,
    }
}

impl Show for WithRecords {
    fn text(&self) -> String {
        let head = if self.said.is_empty() {
            facts(&[
                ("domain", self.domain.name.clone()),
                ("postmaster", self.domain.postmaster()),
                ("separator", self.domain.separator.clone()),
                ("accounts", self.domain.accounts.to_string()),
                ("aliases", self.domain.aliases.to_string()),
                ("created", self.domain.created.clone()),
            ])
        } else {
            format!("{}\n", self.said)
        };
        let zone = dns::zone_lines(&self.dns);
        format!("{head}\nRecords to create in the DNS:\n\n{zone}")
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Removed(DomainView);

impl Show for Removed {
    fn text(&self) -> String {
        format!("{} is no longer a domain of this cluster.\n", self.0.name)
    }
}
