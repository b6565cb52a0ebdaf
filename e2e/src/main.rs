//! `cargo e2e`: the demo, the tests and the benchmarks.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use e2e::{bench, demo, say, soak, test};

/// Buzonera's demo, tests and benchmarks.
#[derive(Parser)]
#[command(name = "cargo e2e", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start Buzonera, send and read mail, move accounts, kill everything, and count.
    Demo(demo::DemoArgs),
    /// Run the unit and integration tests.
    Test(test::TestArgs),
    /// Run the tests whose ordinary runs are short, in their long forms.
    Soak(test::SoakArgs),
    /// Measure, in a release build.
    Bench(bench::BenchArgs),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Demo(args) => demo::run(args),
        Command::Test(args) => test::run(args),
        Command::Soak(args) => soak::run(args),
        Command::Bench(args) => bench::run(args),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say::line(&format!("failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
