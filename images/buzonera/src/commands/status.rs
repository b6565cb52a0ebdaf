//! `buzonera status`.

use serde::Serialize;
use wire::rpc;

use crate::client::ask;
use crate::commands::session::Session;
use crate::commands::shards::Shards;
use crate::failure::Failure;
use crate::output::Show;
use crate::output::table::facts;

/// Runs the command.
pub async fn run(session: &mut Session) -> Result<(), Failure> {
    let admin = session.admin()?;
    let status = ask!(admin.status(rpc::StatusRequest {}))?;
    let status = StatusView::from(status);
    session.output.show(&status)?;
    status.shards.verdict()
}

/// The cluster as scripts see it; JSON.md documents the fields.
#[derive(Debug, Serialize)]
struct StatusView {
    cluster_id: String,
    version: String,
    store: String,
    revision: u64,
    store_fault: Option<String>,
    mover: Option<String>,
    domains: u64,
    accounts: u64,
    aliases: u64,
    open_moves: u64,
    shards: Shards,
}

impl From<rpc::StatusReply> for StatusView {
    fn from(status: rpc::StatusReply) -> Self {
        Self {
            cluster_id: status.cluster_id,
            version: status.version,
            store: status.store,
            revision: status.revision,
            store_fault: Some(status.store_fault).filter(|fault| !fault.is_empty()),
            mover: Some(status.mover).filter(|name| !name.is_empty()),
            domains: status.domains,
            accounts: status.accounts,
            aliases: status.aliases,
            open_moves: status.open_moves,
            shards: status.shards.into(),
        }
    }
}

impl Show for StatusView {
    fn text(&self) -> String {
        let mover = self.mover.as_deref().unwrap_or("nobody yet").to_owned();
        let head = facts(&[
            ("cluster", self.cluster_id.clone()),
            ("version", self.version.clone()),
            (
                "store",
                format!("{}, revision {}", self.store, self.revision),
            ),
            (
                "the store says",
                self.store_fault.clone().unwrap_or_default(),
            ),
            ("moves driven by", mover),
            ("domains", self.domains.to_string()),
            ("accounts", self.accounts.to_string()),
            ("aliases", self.aliases.to_string()),
            ("open moves", self.open_moves.to_string()),
        ]);
        format!("{head}\n{}", self.shards.text())
    }
}
