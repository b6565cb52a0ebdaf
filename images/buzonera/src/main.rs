//! `buzonera`: administration of a cluster, and `buzonera local`.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    buzonera::commands::run(buzonera::cli::Cli::parse())
}
