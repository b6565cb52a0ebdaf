//! What each command does, one noun a file.

pub mod account;
pub mod account_view;
pub mod alias;
pub mod directory;
pub mod dns;
pub mod domain;
pub mod import;
pub mod limits;
pub mod move_view;
pub mod moves;
pub mod opening_view;
pub mod pages;
pub mod rebalance;
pub mod rebalance_view;
pub mod session;
pub mod shard;
pub mod shards;
pub mod spool;
pub mod spool_view;
pub mod status;

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::commands::session::Session;
use crate::failure::Failure;
use crate::local;
use crate::output::{self, Output};

/// Runs one command line to its exit code.
pub fn run(cli: Cli) -> ExitCode {
    match start(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn start(cli: Cli) -> Result<(), Failure> {
    kit::process::block_on(dispatch(cli))?
}

async fn dispatch(cli: Cli) -> Result<(), Failure> {
    let mut session = Session::new(cli.reach, Output::stdout(cli.output));
    match cli.command {
        Command::Local(args) => local::run(args, session).await,
        Command::Directory(command) => directory::run(command, &mut session).await,
        Command::Domain(command) => domain::run(command, &mut session).await,
        Command::Account(command) => account::run(command, &mut session).await,
        Command::Alias(command) => alias::run(command, &mut session).await,
        Command::Import(args) => import::run(args, &mut session).await,
        Command::Shards => shards::run(&mut session).await,
        Command::Shard(command) => shard::run(command, &mut session).await,
        Command::Move(args) => moves::run_move(args, &mut session).await,
        Command::Moves(args) => moves::run_moves(args, &mut session).await,
        Command::Rebalance(args) => rebalance::run(args, &mut session).await,
        Command::Spool(args) => spool::run(args, &mut session).await,
        Command::Status => status::run(&mut session).await,
    }
}
