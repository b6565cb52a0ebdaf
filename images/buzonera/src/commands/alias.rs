//! `buzonera alias add|list|show|remove`.

use clap::Subcommand;
use serde::Serialize;
use wire::rpc;

use crate::client::{ask, request_id};
use crate::commands::pages::{self, Page};
use crate::commands::session::Session;
use crate::failure::Failure;
use crate::output::Show;
use crate::output::table::{Align, Table, facts};

/// Addresses that lead to other addresses.
#[derive(Debug, Subcommand)]
pub enum AliasCommand {
    /// Make an address lead to others in the cluster's domains.
    Add {
        /// The new address.
        address: String,
        /// Where its mail goes.
        #[arg(required = true)]
        targets: Vec<String>,
    },
    /// Every alias.
    List {
        /// Only this domain's.
        #[arg(long, value_name = "NAME", default_value = "")]
        domain: String,
    },
    /// One alias.
    Show {
        /// The alias.
        address: String,
    },
    /// Remove an alias; the addresses it leads to stay.
    Remove {
        /// The alias.
        address: String,
    },
}

/// Runs the command.
pub async fn run(command: AliasCommand, session: &mut Session) -> Result<(), Failure> {
    match command {
        AliasCommand::Add { address, targets } => add(address, targets, session).await,
        AliasCommand::List { domain } => list(&domain, session).await,
        AliasCommand::Show { address } => show(address, session).await,
        AliasCommand::Remove { address } => remove(address, session).await,
    }
}

async fn add(address: String, targets: Vec<String>, session: &mut Session) -> Result<(), Failure> {
    let request = rpc::AddAliasRequest {
        request_id: request_id(),
        address,
        targets,
    };
    let admin = session.admin()?;
    let alias = ask!(admin.add_alias(request))?;
    session.output.show(&AliasView::from(alias))
}

async fn list(domain: &str, session: &mut Session) -> Result<(), Failure> {
    let admin = session.admin()?;
    let name = |alias: &rpc::Alias| alias.address.clone();
    let aliases = pages::all(domain, name, |request| async {
        let reply = ask!(admin.list_aliases(request))?;
        Ok(Page {
            items: reply.aliases,
            more: reply.more,
        })
    });
    let aliases = aliases.await?.into_iter().map(AliasView::from).collect();
    session.output.show(&Aliases(aliases))
}

async fn show(address: String, session: &mut Session) -> Result<(), Failure> {
    let admin = session.admin()?;
    let request = rpc::AddressName { address };
    let alias = ask!(admin.show_alias(request))?;
    session.output.show(&AliasView::from(alias))
}

async fn remove(address: String, session: &mut Session) -> Result<(), Failure> {
    let request = rpc::RemoveAliasRequest {
        request_id: request_id(),
        address,
    };
    let admin = session.admin()?;
    let alias = ask!(admin.remove_alias(request))?;
    session.output.show(&Removed(AliasView::from(alias)))
}

/// An alias as scripts see it.
#[derive(Debug, Serialize)]
struct AliasView {
    address: String,
    targets: Vec<String>,
}

impl From<rpc::Alias> for AliasView {
    fn from(alias: rpc::Alias) -> Self {
        Self {
            address: alias.address,
            targets: alias.targets,
        }
    }
}

impl Show for AliasView {
    fn text(&self) -> String {
        facts(&[
            ("alias", self.address.clone()),
            ("leads to", self.targets.join(", ")),
        ])
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Aliases(Vec<AliasView>);

impl Show for Aliases {
    fn text(&self) -> String {
        let mut table = Table::new([("ALIAS", Align::Left), ("LEADS TO", Align::Left)]);
        for alias in &self.0 {
            table.row([alias.address.clone(), alias.targets.join(", ")]);
        }
        table.render("No aliases.")
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Removed(AliasView);

impl Show for Removed {
    fn text(&self) -> String {
        format!("{} is no longer an alias.\n", self.0.address)
    }
}
