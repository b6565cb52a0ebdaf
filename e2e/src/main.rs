//! `cargo e2e`: the demo, the tests and the benchmarks.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use e2e::kubernetes::nodes;
use e2e::{bench, demo, images, say, soak, test};

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
    /// Build the images of all tiers.
    Images(images::ImagesArgs),
    /// Start a Kubernetes of our own, with nodes, and leave it running.
    Up(nodes::UpArgs),
    /// End it, and whatever it left behind.
    Down,
    /// Measure, in a release build.
    Bench(bench::BenchArgs),
    /// Keep a Kubernetes with nodes.
    #[command(hide = true)]
    KubernetesKeeper(nodes::keeper::KeeperArgs),
    /// Be one of the nodes.
    #[command(hide = true)]
    KubernetesNode {
        /// The file that says what it is to be.
        plan: PathBuf,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Demo(args) => demo::run(args),
        Command::Test(args) => test::run(args),
        Command::Soak(args) => soak::run(args),
        Command::Images(args) => images::run(args),
        Command::Up(args) => nodes::run_up(args),
        Command::Down => nodes::run_down(),
        Command::Bench(args) => bench::run(args),
        Command::KubernetesKeeper(args) => nodes::run_keeper(args),
        Command::KubernetesNode { plan } => nodes::run_node(&plan),
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
