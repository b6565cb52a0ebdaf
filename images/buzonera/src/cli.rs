//! The command line: flags and nouns. What each does is in `commands`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::account::AccountCommand;
use crate::commands::alias::AliasCommand;
use crate::commands::directory::DirectoryCommand;
use crate::commands::domain::DomainCommand;
use crate::commands::import::ImportArgs;
use crate::commands::moves::{MoveArgs, MovesArgs};
use crate::commands::rebalance::RebalanceArgs;
use crate::commands::shard::ShardCommand;
use crate::commands::spool::SpoolArgs;
use crate::local::{LocalArgs, roster};
use crate::output::Format;

/// Where `buzonera local` keeps everything unless told otherwise.
pub const DEFAULT_DATA: &str = "buzonera-data";

/// Buzonera receives mail, keeps it on shards and serves it.
///
/// Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 not found, 4 temporary: try again.
#[derive(Debug, Parser)]
#[command(name = "buzonera", version)]
pub struct Cli {
    /// Tables for people or JSON for scripts.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub output: Format,
    /// Which cluster.
    #[command(flatten)]
    pub reach: Reach,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How to find the cluster: the folder of a `buzonera local`, or a directory's address.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which cluster")]
pub struct Reach {
    /// Folder of a `buzonera local`.
    #[arg(long, global = true, value_name = "DIR", default_value = DEFAULT_DATA)]
    pub data: PathBuf,
    /// A directory replica elsewhere; needs --identity.
    #[arg(long, global = true, value_name = "HOST:PORT", env = "BUZONERA_SERVER")]
    pub server: Option<String>,
    /// Folder with ca.pem, cert.pem and key.pem of an administrator; with --server.
    #[arg(long, global = true, value_name = "DIR", env = "BUZONERA_IDENTITY")]
    pub identity: Option<PathBuf>,
    /// The instance that answers at --server, as its certificate names it.
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "BUZONERA_INSTANCE",
        default_value = roster::DIRECTORY
    )]
    pub instance: String,
}

/// One noun or verb each.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run every tier in one process, on this machine.
    Local(LocalArgs),
    /// The directory itself: bootstrap.
    #[command(subcommand)]
    Directory(DirectoryCommand),
    /// The domains that mail is received for.
    #[command(subcommand)]
    Domain(DomainCommand),
    /// The users' stores: add, list, show, passwd, quota, remove, restore.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Addresses that lead to other addresses.
    #[command(subcommand)]
    Alias(AliasCommand),
    /// Add accounts from a CSV file: address,password,quota,aliases.
    Import(ImportArgs),
    /// Every shard with its accounts, bytes and phase.
    Shards,
    /// One shard: replace its volume, or declare it lost.
    #[command(subcommand)]
    Shard(ShardCommand),
    /// Move an account to another shard.
    Move(MoveArgs),
    /// Moves under way, and recent ones; what moves may cost.
    Moves(MovesArgs),
    /// What would move so that every shard has its part of the accounts and bytes.
    Rebalance(RebalanceArgs),
    /// How the cluster is.
    Status,
    /// Mail that MX accepted and could not yet hand to a shard.
    Spool(SpoolArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn passwords_are_never_arguments() {
        for noun in ["add", "passwd"] {
            let words = ["buzonera", "account", noun, "a@b.c", "--password", "x"];
            assert!(Cli::try_parse_from(words).is_err());
        }
    }

    #[test]
    fn global_flags_may_follow_the_noun() {
        let words = [
            "buzonera", "account", "list", "--data", "d", "--output", "json",
        ];
        let cli = Cli::try_parse_from(words).unwrap();
        assert_eq!(cli.reach.data, PathBuf::from("d"));
        assert_eq!(cli.output, Format::Json);
    }
}
