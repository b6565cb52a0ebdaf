//! `palomar`: administration of a cluster, and `palomar local`.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    palomar::commands::run(palomar::cli::Cli::parse())
}
