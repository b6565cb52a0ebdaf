//! `cargo e2e demo`: Buzonera at work, and in trouble, before your eyes: on this machine alone
//! ([`local`]), or on a Kubernetes of its own ([`kubernetes`]).

pub mod kubernetes;
mod local;
mod moves;
mod population;
mod reading;
mod report;
mod steps;
mod traffic;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::kubernetes::Platform;
use crate::places;
use crate::site::Site;
use steps::{Step, step};
use traffic::{Sent, Traffic};

/// How large the demo is.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Where Buzonera runs.
    #[arg(long, value_enum, default_value_t)]
    pub on: On,
    /// Accounts; a part of them moves.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub accounts: u32,
    /// Messages a second. Default: 20; on Kubernetes 40, so that some come while their account moves
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub rate: Option<u32>,
    /// Seconds of mail before, between and after the moves.
    #[arg(long, default_value_t = 5)]
    pub calm: u64,
    /// A folder of its own; emptied first. Default: .e2e/demo
    #[arg(long)]
    pub folder: Option<PathBuf>,
    /// On Kubernetes: install missing system packages and build Kubernetes without asking.
    #[arg(long)]
    pub yes: bool,
}

/// What the demo runs on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum On {
    /// One `buzonera local`, on this machine.
    #[default]
    Local,
    /// A Kubernetes with two nodes, which stays until `cargo e2e down`.
    Kubernetes,
}

/// Between two looks at the traffic.
const LOOK: Duration = Duration::from_millis(200);

/// Runs it; true when nothing was lost or doubled.
pub fn run(args: DemoArgs) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match args.on {
            On::Local => local::play(args).await,
            On::Kubernetes => kubernetes::play(args).await,
        }
    })
}

/// What answers `buzonera`'s commands.
trait Commanded {
    /// The result of a command, in JSON; `input` is its standard input.
    fn ask(&self, words: &[&str], input: &str) -> Result<Value>;
}

impl Commanded for Site {
    fn ask(&self, words: &[&str], input: &str) -> Result<Value> {
        Self::ask(self, words, input)
    }
}

impl Commanded for Platform {
    fn ask(&self, words: &[&str], input: &str) -> Result<Value> {
        Self::ask(self, words, input)
    }
}

/// Lets mail flow for a while.
async fn calm(traffic: &Traffic, seconds: u64) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(seconds);
    step("let mail flow", async |step: &Step| {
        while Instant::now() < until {
            step.is(&traffic.so_far());
            tokio::time::sleep(LOOK).await;
        }
        step.is(&traffic.so_far());
        Ok(())
    })
    .await
}

/// Sends no more.
async fn end(traffic: Traffic) -> Result<Sent> {
    step(
        "end it, with an answer for every message",
        async |_: &Step| traffic.finish(),
    )
    .await
}

/// A file in a folder that a demo made: only such a folder is emptied.
const MARK: &str = ".buzonera-demo";

fn fresh(folder: Option<PathBuf>) -> Result<PathBuf> {
    let folder = folder.unwrap_or_else(|| places::scratch().join("demo"));
    if folder.join(MARK).exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    if std::fs::read_dir(&folder)?.next().is_some() {
        bail!("{} is not empty and no demo made it", folder.display());
    }
    std::fs::write(folder.join(MARK), "")?;
    Ok(folder.canonicalize()?)
}
