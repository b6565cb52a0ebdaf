//! `buzonera directory bootstrap`.

use clap::Subcommand;
use serde::Serialize;
use wire::rpc;

use crate::client::{PATIENCE, retry};
use crate::commands::session::Session;
use crate::failure::Failure;
use crate::output::Show;
use crate::reach;

/// The directory itself.
#[derive(Debug, Subcommand)]
pub enum DirectoryCommand {
    /// Make an empty store the cluster's; once, before anything else. Again it changes nothing.
    Bootstrap,
}

/// Runs the command.
pub async fn run(command: DirectoryCommand, session: &mut Session) -> Result<(), Failure> {
    match command {
        DirectoryCommand::Bootstrap => bootstrap(session).await,
    }
}

async fn bootstrap(session: &mut Session) -> Result<(), Failure> {
    let target = reach::directory(&session.reach)?;
    let identity = reach::credentials(&target.identity)?.identity().clone();
    let cluster_id = identity.cluster().to_string();
    let client = target.operator()?;
    let reply = retry(PATIENCE, &target.address, || {
        let (mut client, cluster_id) = (client.clone(), cluster_id.clone());
        async move { client.bootstrap(rpc::BootstrapRequest { cluster_id }).await }
    });
    let created = reply.await?.created;
    session.output.show(&Bootstrapped {
        cluster_id,
        created,
    })
}

/// The outcome as scripts see it; JSON.md documents the fields.
#[derive(Debug, Serialize)]
struct Bootstrapped {
    cluster_id: String,
    created: bool,
}

impl Show for Bootstrapped {
    fn text(&self) -> String {
        let id = &self.cluster_id;
        match self.created {
            true => format!("The store was empty and is cluster {id}'s now."),
            false => format!("The store is cluster {id}'s already."),
        }
    }
}
