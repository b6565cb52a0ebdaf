//! `palomar shards`.

use serde::Serialize;
use wire::rpc::{self, ShardState};

use crate::client::ask;
use crate::commands::pages::{self, Page};
use crate::commands::session::Session;
use crate::failure::Failure;
use crate::output::Show;
use crate::output::table::{Align, Table};
use crate::output::text::bytes;

/// Runs the command.
pub async fn run(session: &mut Session) -> Result<(), Failure> {
    let admin = session.admin()?;
    let name = |shard: &rpc::ShardInfo| shard.name.clone();
    let shards = pages::all("", name, |request| async {
        let reply = ask!(admin.list_shards(request))?;
        Ok(Page {
            items: reply.shards,
            more: reply.more,
        })
    });
    let shards = Shards::from(shards.await?);
    session.output.show(&shards)
}

/// A shard as scripts see it; JSON.md documents the fields.
#[derive(Debug, Serialize)]
pub struct ShardView {
    name: String,
    phase: &'static str,
    live: bool,
    incarnation: u64,
    rpc_endpoint: String,
    accounts: u64,
    bytes: u64,
    messages: u64,
    volume_size: u64,
    volume_free: u64,
    moves_in: u64,
    moves_out: u64,
}

impl From<rpc::ShardInfo> for ShardView {
    fn from(shard: rpc::ShardInfo) -> Self {
        Self {
            phase: phase_name(shard.state()),
            name: shard.name,
            live: shard.live,
            incarnation: shard.incarnation,
            rpc_endpoint: shard.rpc_endpoint,
            accounts: shard.accounts,
            bytes: shard.bytes,
            messages: shard.messages,
            volume_size: shard.volume_size,
            volume_free: shard.volume_free,
            moves_in: shard.moves_in,
            moves_out: shard.moves_out,
        }
    }
}

fn phase_name(state: ShardState) -> &'static str {
    match state {
        ShardState::Unspecified => "unknown",
        ShardState::Active => "active",
        ShardState::Cordoned => "cordoned",
        ShardState::Draining => "draining",
        ShardState::Retired => "retired",
    }
}

impl ShardView {
    /// The phase for people: a shard that holds no lease serves nothing, whatever its phase.
    fn phase(&self) -> String {
        match self.live {
            true => self.phase.to_owned(),
            false => format!("{}, away", self.phase),
        }
    }
}

/// Several shards.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Shards(Vec<ShardView>);

impl From<Vec<rpc::ShardInfo>> for Shards {
    fn from(shards: Vec<rpc::ShardInfo>) -> Self {
        Self(shards.into_iter().map(ShardView::from).collect())
    }
}

impl Show for Shards {
    fn text(&self) -> String {
        let mut table = Table::new([
            ("SHARD", Align::Left),
            ("PHASE", Align::Left),
            ("ACCOUNTS", Align::Right),
            ("MESSAGES", Align::Right),
            ("BYTES", Align::Right),
            ("FREE", Align::Right),
            ("MOVES IN", Align::Right),
            ("MOVES OUT", Align::Right),
        ]);
        for shard in &self.0 {
            table.row([
                shard.name.clone(),
                shard.phase(),
                shard.accounts.to_string(),
                shard.messages.to_string(),
                bytes(shard.bytes),
                bytes(shard.volume_free),
                shard.moves_in.to_string(),
                shard.moves_out.to_string(),
            ]);
        }
        table.render("No shards.")
    }
}
