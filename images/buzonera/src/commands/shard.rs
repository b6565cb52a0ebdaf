//! `buzonera shard replace-volume` and `buzonera shard lost`.

use clap::Subcommand;
use wire::rpc::{ReplaceVolumeRequest, SetShardStateRequest, ShardState};

use crate::client::{ask, request_id};
use crate::commands::session::Session;
use crate::commands::shards::ShardView;
use crate::failure::Failure;
use crate::terminal;

/// What to do with one shard.
#[derive(Debug, Subcommand)]
pub enum ShardCommand {
    /// Let a shard start with another volume than the one it served last, or a damaged one.
    ///
    /// For a volume that comes from a backup, is new and empty, or has lost mail: a shard refuses
    /// those by itself. Mail that is not on it is lost. All accounts of the shard begin anew on it:
    /// programs fetch their mail once more. One that was just moved here, and is still whole where it
    /// came from, goes back there. The shard must not be running.
    ReplaceVolume {
        /// The shard's name.
        name: String,
        /// Do not ask for the name again.
        #[arg(long)]
        yes: bool,
    },
    /// Declare a shard lost that will never come back, for good.
    ///
    /// Its accounts get temporary errors from then on, until they are removed; it keeps no other
    /// shard from being drained and retired. Its name is not used again.
    Lost {
        /// The shard's name.
        name: String,
        /// Do not ask for the name again.
        #[arg(long)]
        yes: bool,
    },
}

/// Runs the command.
pub async fn run(command: ShardCommand, session: &mut Session) -> Result<(), Failure> {
    match command {
        ShardCommand::ReplaceVolume { name, yes } => replace_volume(name, yes, session).await,
        ShardCommand::Lost { name, yes } => lost(name, yes, session).await,
    }
}

async fn replace_volume(name: String, yes: bool, session: &mut Session) -> Result<(), Failure> {
    if !yes {
        confirm(
            &name,
            "replace the shard's volume",
            "This gives up all mail that is not on the shard's next volume. The shard's name again: ",
        )?;
    }
    let admin = session.admin()?;
    let request = ReplaceVolumeRequest {
        request_id: request_id(),
        name,
    };
    let shard = ask!(admin.replace_volume(request))?;
    session.output.show(&ShardView::from(shard))
}

async fn lost(name: String, yes: bool, session: &mut Session) -> Result<(), Failure> {
    if !yes {
        confirm(
            &name,
            "declare the shard lost",
            "This gives up all mail on the shard, for good. The shard's name again: ",
        )?;
    }
    let admin = session.admin()?;
    let request = SetShardStateRequest {
        request_id: request_id(),
        name,
        state: ShardState::Lost.into(),
    };
    let shard = ask!(admin.set_shard_state(request))?;
    session.output.show(&ShardView::from(shard))
}

/// Asks for the name once more; anything else changes nothing.
fn confirm(name: &str, what: &str, question: &str) -> Result<(), Failure> {
    if !terminal::is_there() {
        let text = format!("There is no terminal to ask on: use --yes to {what}.");
        return Err(Failure::Usage(text));
    }
    if terminal::ask(question)?.trim() == name {
        return Ok(());
    }
    let text = "That is not the same name; nothing was changed.";
    Err(Failure::Refused(text.to_owned()))
}
